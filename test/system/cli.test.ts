import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readReference, requiredGreedy } from '../reference/compare.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { type AgentProcess, type CliOptions, cli, cliAgent, jsonLines } from './support/cli.js';

const directory = temporaryDirectory();
const home = join(directory.path, 'home');
const run = (args: readonly string[], options: Partial<CliOptions> = {}) => cli(args, { home, ...options });
let agent: AgentProcess;
/** Where it does not matter what the device is: a mock that is open already. */
const runThere = (args: readonly string[], options: Partial<CliOptions> = {}) =>
  run(args, { ...options, env: { PYNQ_LLM_DEVICE: agent.url } });
const PROMPT = 'Once upon a time';
const GREEDY = ['run', PROMPT, '--temp', '0', '--json'];

beforeAll(async () => {
  agent = await cliAgent(join(directory.path, 'shared-store'));
});
afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});

interface TokenLine {
  readonly type: 'token';
  readonly id: number;
  readonly text: string;
  readonly logprob: number;
  readonly top?: [number, number][];
}

interface ScoreLine {
  readonly tokens: number[];
  readonly logprobs: (number | null)[];
  readonly top: [number, number][][];
}

describe.concurrent('run', () => {
  it('--json prints one object a token and ends with what it cost', async () => {
    const result = await run([...GREEDY, '-n', '5', '--logprobs', '3']);
    const lines = jsonLines<TokenLine>(result);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(lines.slice(0, -1)).toHaveLength(5);
    for (const [index, token] of lines.slice(0, -1).entries()) {
      expect(token).toEqual({
        type: 'token',
        index,
        id: expect.any(Number),
        text: expect.any(String),
        logprob: token.top?.[0][1],
        top: expect.anything(),
      });
      expect(token.top?.[0][0]).toBe(token.id);
      expect(token.top).toHaveLength(3);
    }
    expect(lines.at(-1)).toEqual({
      boardClock: {
        clockHz: 100e6,
        timing: 'synthesised',
        coreSeconds: expect.any(Number),
        tokensPerSecond: expect.any(Number),
      },
      type: 'done',
      reason: 'max-tokens',
      text: expect.any(String),
      tokens: 5,
      timing: {
        queuedMs: expect.any(Number),
        prefillMs: expect.any(Number),
        cachedTokens: 0,
        replayedTokens: 0,
        decodeMs: expect.any(Number),
        promptTokens: 6,
        generatedTokens: 5,
      },
      counters: {
        registerReads: expect.any(Number),
        registerWrites: expect.any(Number),
        dmaTransfers: expect.any(Number),
        dmaBytes: expect.any(Number),
        coreCycles: expect.any(Number),
        coreMultiplyAdds: expect.any(Number),
        cpuMultiplyAdds: 0,
      },
    });
  });

  it('a seed that was not given is printed, and gives the text again', async () => {
    const first = await runThere(['run', PROMPT, '-n', '20']);
    const seed = /seed (\d+)/.exec(first.stderr)?.[1] ?? '';
    expect((await runThere(['run', PROMPT, '-n', '20', '-s', seed])).stdout).toBe(first.stdout);
  });

  it('the prompt comes from standard input or a file as from the argument', async () => {
    const file = join(directory.path, 'prompt.txt');
    writeFileSync(file, `${PROMPT}\n`);
    const flags = ['--temp', '0', '-n', '8'];
    const results = await Promise.all([
      runThere(['run', PROMPT, ...flags]),
      runThere(['run', '-', ...flags], { input: `${PROMPT}\n` }),
      runThere(['run', '-f', file, ...flags]),
      runThere(['run', '-p', PROMPT, ...flags]),
    ]);
    expect(new Set(results.map(({ stdout }) => stdout)).size).toBe(1);
    expect(results[0].stdout).toMatch(/^, there was/);
  });

  it('the names that llama.cpp has for flags are known', async () => {
    const result = await runThere(['run', PROMPT, '--temperature', '0', '--n-predict', '3', '--json']);
    expect(jsonLines(result).at(-1)).toMatchObject({ tokens: 3 });
    expect(jsonLines(await runThere([...GREEDY, '--predict', '3']))[0]).toEqual(jsonLines(result)[0]);
  });

  it('--json-schema holds the answer to a schema, given itself or in a file', async () => {
    const schema = '{"type":"object","properties":{"sky":{"enum":["blue","grey"]}},"required":["sky"]}';
    using folder = temporaryDirectory();
    const file = join(folder.path, 'schema.json');
    writeFileSync(file, schema);
    const flags = ['run', PROMPT, '-n', '60', '--temp', '0'];
    const [given, read] = await Promise.all([
      runThere([...flags, '--json-schema', schema]),
      runThere([...flags, '-j', file]),
    ]);
    expect(['blue', 'grey']).toContain(JSON.parse(given.stdout).sky);
    expect(read.stdout).toBe(given.stdout);
    expect(given.stderr).toContain('ended by end-of-text');
  });

  it('--stop ends before the text, --ignore-eos goes past the end', async () => {
    const stopped = await runThere(['run', PROMPT, '--temp', '0', '--stop', 'there', '-n', '20']);
    expect(stopped.stdout).toBe(', \n');
    expect(stopped.stderr).toContain('ended by stop');
    const long = await run(['run', PROMPT, '--temp', '0', '--ignore-eos', '-n', '1000', '-c', '128']);
    expect(long.stderr).toContain('ended by context-full');
  });

  it('the device can come from the environment', async () => {
    const result = await run(['run', PROMPT, '-n', '1'], { env: { PYNQ_LLM_DEVICE: 'mock:kv260' } });
    expect(result.stderr).toMatch(/device +mock:kv260/);
  });

  it('a reader that has seen enough ends it without a word', async () => {
    const { status, stderr } = await runThere(['run', PROMPT, '-n', '400', '--ignore-eos'], {
      onOutput: (child) => child.stdout?.destroy(),
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});

describe.concurrent('Ctrl-C during run', () => {
  const LONG = ['run', PROMPT, '-n', '480', '--temp', '0', '--ignore-eos'];

  it('ends it with status 130, the text so far and its cost, and leaves nothing running', async () => {
    let group = 0;
    let interrupted = 0;
    const result = await run(LONG, {
      onOutput: (child) => {
        group = child.pid ?? 0;
        interrupted = performance.now();
        child.kill('SIGINT');
      },
    });
    expect(performance.now() - interrupted).toBeLessThan(20_000);
    expect(result.status).toBe(130);
    expect(result.stdout).toMatch(/^,.*\n$/s);
    expect(result.stderr).toContain('ended by cancelled');
    expect(() => process.kill(-group, 0)).toThrow('ESRCH');
  });

  it('with --json the last line still says how it ended', async () => {
    const result = await run([...LONG, '--json'], { onOutput: (child) => child.kill('SIGINT') });
    expect(result.status).toBe(130);
    expect(jsonLines(result).at(-1)).toMatchObject({ type: 'done', reason: 'cancelled' });
  });

  it('twice ends it at once', async () => {
    const { status } = await run(LONG, {
      onOutput: (child) => {
        child.kill('SIGINT');
        setTimeout(() => child.kill('SIGINT'), 5);
      },
    });
    // Null where the second found Node.js at its end already, with its handlers put away.
    expect([130, null]).toContain(status);
  });
});

describe.concurrent('greedy text is llama.cpp’s', () => {
  const reference = readReference(join('test', 'reference', 'bundled.json'));

  it.each([...reference].map(([model, [first]]) => [model, first] as const))('%s', async (model, first) => {
    const limit = String(first.greedyTokens.length);
    const result = await run([
      'run',
      first.prompt,
      '-m',
      join('models', model),
      ...GREEDY.slice(2),
      '-n',
      limit,
    ]);
    const ids = jsonLines<TokenLine>(result).flatMap(({ type, id }) => (type === 'token' ? [id] : []));
    const required = requiredGreedy(first);
    expect(required).toBeGreaterThan(0);
    expect(ids.slice(0, required)).toEqual(first.greedyTokens.slice(0, required));
  });
});

describe.concurrent('score', () => {
  it('--json has a list of the likeliest, in order, for each position', async () => {
    const ids = [1, 80, 147, 201, 282, 57];
    const result = await runThere(['score', '--tokens', ids.join(','), '--top', '4', '--json']);
    const { tokens, logprobs, top, ...rest } = JSON.parse(result.stdout) as ScoreLine;
    expect(rest).toEqual({});
    expect(tokens).toEqual(ids);
    expect(top).toHaveLength(ids.length);
    for (const likeliest of top) {
      expect(likeliest).toHaveLength(4);
      expect(likeliest.map(([, logprob]) => logprob)).toEqual(
        likeliest.map(([, logprob]) => logprob).toSorted((a, b) => b - a),
      );
    }
    expect(logprobs[0]).toBeNull();
    // What a position says of the next token is that token's own log-probability.
    expect(logprobs[3]).toBe(top[2].find(([id]) => id === 201)?.[1]);
  });

  it('--top 0 has an empty list for each position', async () => {
    const { tokens, top } = JSON.parse(
      (await runThere(['score', PROMPT, '--top', '0', '--json'])).stdout,
    ) as ScoreLine;
    expect(top).toEqual(tokens.map(() => []));
  });

  it('control tokens in a text are text unless asked for', async () => {
    const [plain, special] = await Promise.all(
      [[], ['--special']].map(async (flags): Promise<ScoreLine> => {
        return JSON.parse(
          (await runThere(['score', '<|end_story|>', '--top', '0', '--json', ...flags])).stdout,
        );
      }),
    );
    expect(special.tokens).toHaveLength(2);
    expect(plain.tokens.length).toBeGreaterThan(2);
  });
});

describe.concurrent('selftest', () => {
  const VECTOR = 'public_q3_13_m1_M1_N1_K256.bin';

  /** A folder with one vector and nothing but its entry in the index. */
  function vectorFolder(name: string, change: (vector: Buffer) => void): string {
    const folder = join(directory.path, name);
    mkdirSync(folder);
    const vector = readFileSync(join('vectors', VECTOR));
    change(vector);
    const index = JSON.parse(readFileSync(join('vectors', 'index.json'), 'utf8')) as {
      cases: { file: string; sha256: string }[];
    };
    index.cases = index.cases.filter(({ file }) => file === VECTOR);
    index.cases[0].sha256 = createHash('sha256').update(vector).digest('hex');
    writeFileSync(join(folder, VECTOR), vector);
    writeFileSync(join(folder, 'index.json'), JSON.stringify(index));
    return folder;
  }

  it('passes on an index and its vectors alone, on both revisions', async () => {
    const folder = vectorFolder('good', () => {});
    for (const [device, revision] of [
      ['mock:', 'v3'],
      ['mock:v1', 'v1'],
    ]) {
      const { status, stdout } = await run(['selftest', '--vectors', folder, '--json', '-d', device]);
      const { cases, ...rest } = JSON.parse(stdout) as { cases: number };
      expect(status).toBe(0);
      expect(cases).toBeGreaterThan(0);
      expect(rest).toEqual({
        device,
        revision,
        passed: cases,
        bitMismatches: 0,
        counterMismatches: 0,
        cycleMismatches: 0,
      });
    }
  });

  it('has SOFT_MAX as a group of its own on revision v4', async () => {
    const folder = join(directory.path, 'softmax');
    mkdirSync(folder);
    copyFileSync(join('vectors', 'softmax.json'), join(folder, 'softmax.json'));
    const all = ['selftest', '--vectors', folder, '-d', 'mock:kv260-2026-v4'];
    const { status, stdout } = await run([...all, '--json']);
    const summary = JSON.parse(stdout) as { cases: number; softMax: { results: number } };
    expect(status).toBe(0);
    expect(summary).toMatchObject({ revision: 'v4', passed: summary.cases, bitMismatches: 0 });
    const { results } = summary.softMax;
    expect(summary.softMax).toEqual({
      cases: summary.cases,
      passed: summary.cases,
      results,
      outside: 0,
      otherBits: 0,
    });
    expect(results).toBeGreaterThan(5000);
    const table = await run(all);
    expect(table.stdout).toMatch(
      new RegExp(
        `^SOFT_MAX +${summary.cases} of ${summary.cases} checks; of ${results} results 0 outside`,
        'm',
      ),
    );
  });

  it('ends with status 3 where a result of SOFT_MAX lies outside of the tolerance', async () => {
    const folder = join(directory.path, 'softmax-wrong');
    mkdirSync(folder);
    const [first] = JSON.parse(readFileSync(join('vectors', 'softmax.json'), 'utf8')) as { expect: string }[];
    expect(first.expect).toBe('3f800000');
    writeFileSync(join(folder, 'softmax.json'), JSON.stringify([{ ...first, expect: '3f800010' }]));
    const device = ['-d', 'mock:kv260-2026-v4'];
    const { status, stdout } = await run(['selftest', '--vectors', folder, '--json', ...device]);
    expect(status).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ passed: 0, bitMismatches: 0, softMax: { outside: 1 } });
  });

  it('ends with status 3 and names the check where one bit of a result is another', async () => {
    const RESULTS_OFFSET_WORD = 10;
    const folder = vectorFolder('flipped', (vector) => {
      vector[vector.readUInt32LE(RESULTS_OFFSET_WORD * 4)] ^= 1;
    });
    const { status, stdout, stderr } = await run(['selftest', '--vectors', folder, '--json']);
    expect(status).toBe(3);
    const { cases, passed, bitMismatches } = JSON.parse(stdout) as Record<string, number>;
    expect(passed).toBeLessThan(cases);
    expect(bitMismatches).toBe(cases - passed);
    expect(stderr).toContain(VECTOR);
  });
});

describe.concurrent('trace', () => {
  it('replays without a difference on another board and not on one with a fault', async () => {
    const file = join(directory.path, 'run.trace');
    expect((await run(['trace', 'record', file, 'One day'])).status).toBe(0);
    const [same, other, faulty] = await Promise.all(
      ['mock:', 'mock:kv260', 'mock:?fault=result-short'].map((device) =>
        run(['trace', 'replay', file, '-d', device]),
      ),
    );
    expect(same.stdout).toMatch(/^\d+ events, no difference\n$/);
    expect(other).toMatchObject({ status: 0, stdout: same.stdout });
    expect(faulty.status).toBe(3);
    expect(faulty.stdout).toMatch(/^line \d+: .+\n {2}expected .+\n {2}got {6}.+\n$/);
  });
});

describe.concurrent('other commands', () => {
  it('inspect --json has the metadata, the tensors and where each would go', async () => {
    const { stdout } = await run(['inspect', TINY_MODEL, '--json']);
    const { file, version, metadata, tensors, placement } = JSON.parse(stdout);
    expect({ file, version }).toEqual({ file: TINY_MODEL, version: 3 });
    expect(metadata['general.architecture']).toBe('llama');
    expect(tensors).toContainEqual({ name: 'output_norm.weight', type: 'F32', rows: 1, columns: 256 });
    expect(placement.totals.resident.tensors).toBeGreaterThan(10);
    expect(placement.dmaMemory.total).toBe(128 * 1024 * 1024);
    expect(placement.tokenCycles.hls).toBeGreaterThan(placement.tokenCycles.words);
  });

  it('inspect tells the core cycles of a token with the timing that they are of', async () => {
    const [board, model] = await Promise.all(
      ['mock:', 'mock:?timing=systemc'].map((device) => run(['inspect', TINY_MODEL, '-d', device])),
    );
    expect(board.stdout).toMatch(
      /core cycles a token +\d+ k to \d+ k, [\d.]+ ms to [\d.]+ ms at 100 MHz: synthesised timing, unpacker as fast/,
    );
    expect(model.stdout).toMatch(
      /core cycles a token +\d+ k, [\d.]+ ms at 100 MHz: the SystemC model's timing/,
    );
  });

  it('perplexity is that of the log-probabilities of score, every time', async () => {
    const file = join(directory.path, 'story.txt');
    const text = 'Once upon a time, there was a little girl named Lily. She loved to play in the park.';
    writeFileSync(file, text);
    const [first, second, score] = await Promise.all([
      runThere(['perplexity', file, '--json']),
      runThere(['perplexity', '-', '--json'], { input: text }),
      runThere(['score', text, '--top', '0', '--json']),
    ]);
    expect(second.stdout).toBe(first.stdout);
    const { logprobs } = JSON.parse(score.stdout) as ScoreLine;
    const scored = logprobs.slice(1).map(Number);
    const mean = scored.reduce((sum, logprob) => sum + logprob, 0) / scored.length;
    const { perplexity, tokens, windows } = JSON.parse(first.stdout);
    expect({ tokens, windows }).toEqual({ tokens: scored.length, windows: 1 });
    expect(perplexity).toBeCloseTo(Math.exp(-mean), 6);
    expect(perplexity).toBeLessThan(10);
  });

  it('regs reads a window by name, counters the hardware counters', async () => {
    const [regs, counters] = await Promise.all([
      runThere(['regs', 'dma0', '--json']),
      runThere(['counters', '--json']),
    ]);
    const names = (JSON.parse(regs.stdout) as { name: string }[]).map(({ name }) => name);
    expect(names).toContain('dma0.MM2S_DMASR');
    expect(names.every((name) => name.startsWith('dma0.'))).toBe(true);
    expect(JSON.parse(counters.stdout).counters).toHaveLength(15);
  });

  it('bench --json is a list of figures', async () => {
    const { stdout } = await run(['bench', 'matmul', '--quick', '--json']);
    const rows = JSON.parse(stdout) as object[];
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expect(Object.keys(row)).toEqual(['name', 'value', 'unit', 'baseline', 'ratio']);
  });

  it('models go through an agent: uploaded, there already, loaded, run, unloaded, deleted', async () => {
    await using agent = await cliAgent(join(directory.path, 'agent-store'));
    const env = { PYNQ_LLM_DEVICE: agent.url };
    const name = 'tiny-stories-Q3_K_M.gguf';
    const state = async () => {
      const { stdout } = await run(['models', 'list', '--json'], { env });
      return (JSON.parse(stdout) as { names: string[]; state: string }[]).map(({ names, state }) => [
        ...names,
        state,
      ]);
    };
    expect((await run(['upload', TINY_MODEL], { env })).stdout).not.toContain('already');
    expect((await run(['upload', resolve(TINY_MODEL)], { env })).stdout).toContain('already');
    expect(await state()).toEqual([[name, 'stored']]);
    expect((await run(['models', 'load', name], { env })).status).toBe(0);
    expect(await state()).toEqual([[name, 'loaded']]);
    const text = await run(['run', PROMPT, '-m', name, '--temp', '0', '-n', '4'], { env });
    expect(text.stdout).toMatch(/^, there was/);
    expect((await run(['models', 'unload', name], { env })).status).toBe(0);
    expect(await state()).toEqual([[name, 'stored']]);
    expect((await run(['models', 'delete', name], { env })).status).toBe(0);
    expect((await run(['models'], { env })).stdout).toMatch(/^no models/);
  });
});
