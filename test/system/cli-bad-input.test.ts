import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GgmlType, type GgufEntry, writeGguf } from '../../gguf/index.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { type CliOptions, type CliResult, cli, cliAgent } from './support/cli.js';

const directory = temporaryDirectory();
const home = join(directory.path, 'home');
const run = (args: readonly string[], options: Partial<CliOptions> = {}) => cli(args, { home, ...options });
const path = (name: string) => join(directory.path, name);

afterAll(() => directory[Symbol.dispose]());

/** One line with number, code and remedy, and nothing else anywhere. */
function expectError(result: CliResult, code: string): void {
  expect(result.stderr).toMatch(new RegExp(`^pynq-llm: \\[PL\\d{4} ${code}\\] .+\\. .+\\.\\n$`));
  expect(result.stdout).toBe('');
  expect(result.status).toBe(1);
}

describe.concurrent('wrong usage ends with status 2 and names the flag', () => {
  it.each([
    [['run', '--bogus'], '--bogus'],
    [['run', '--max-tokens', 'many'], '--max-tokens'],
    [['run', '--n-predict', '0'], '--n-predict'],
    [['run', '--temp', '-1'], '--temp'],
    [['run', '--top-p', '1.5'], '--top-p'],
    [['run', '--seed', '-3'], '--seed'],
    [['run', '--logit-bias', '15'], '--logit-bias'],
    [['run', '--ctx-size', '0'], '--ctx-size'],
    [['run', 'text', '--prompt', 'another'], '--prompt'],
    [['run', '--system', 'no chat'], '--system'],
    [['run', '--model'], '--model'],
    [['score', '--tokens', '1,x'], '--tokens'],
    [['score', 'text', '--tokens', '1'], '--tokens'],
    [['score', 'text', '--top', '65'], '--top'],
    [['regs', '--write', 'hwc.RESET'], '--write'],
    [['agent', '--log-level', 'loud'], '--log-level'],
    [['models', 'frobnicate'], 'frobnicate'],
    [['upload'], 'file'],
    [['frobnicate'], 'frobnicate'],
  ])('%j', async (args, flag) => {
    const result = await run(args);
    expect(result.stderr).toContain(flag);
    expect(result.stderr).not.toMatch(/^ {4}at /m);
    expect({ status: result.status, stdout: result.stdout }).toEqual({ status: 2, stdout: '' });
  });
});

describe.concurrent('a model that cannot be used', () => {
  beforeAll(() => {
    const good = readFileSync(TINY_MODEL);
    const WORD = 4;
    const withHeader = (change: (file: Buffer) => void): Buffer => {
      const file = Buffer.from(good);
      change(file);
      return file;
    };
    writeFileSync(path('truncated.gguf'), good.subarray(0, good.length >> 1));
    writeFileSync(path('cut-header.gguf'), good.subarray(0, 1000));
    writeFileSync(
      path('wrong-magic.gguf'),
      withHeader((file) => file.write('GGML')),
    );
    writeFileSync(
      path('future-version.gguf'),
      withHeader((file) => file.writeUInt32LE(99, WORD)),
    );
    writeFileSync(
      path('huge-count.gguf'),
      withHeader((file) => file.writeBigUInt64LE(2n ** 60n, 2 * WORD)),
    );
    writeFileSync(
      path('huge-metadata.gguf'),
      withHeader((file) => file.writeBigUInt64LE(2n ** 63n, 4 * WORD)),
    );
    writeFileSync(path('empty.gguf'), '');
    writeFileSync(path('unknown-architecture.gguf'), modelOf('mamba'));
    mkdirSync(path('folder.gguf'));
  });

  it.each([
    ['truncated.gguf', 'GGUF_\\w+'],
    ['cut-header.gguf', 'GGUF_\\w+'],
    ['wrong-magic.gguf', 'GGUF_BAD_MAGIC'],
    ['future-version.gguf', 'GGUF_\\w*VERSION\\w*'],
    ['huge-count.gguf', 'GGUF_\\w+'],
    ['huge-metadata.gguf', 'GGUF_\\w+'],
    ['empty.gguf', 'SDK_MODEL_FILE'],
    ['folder.gguf', 'SDK_MODEL_FILE'],
    ['unknown-architecture.gguf', 'LLM_\\w*ARCHITECTURE\\w*'],
    ['missing.gguf', 'CLI_MODEL_UNKNOWN'],
  ])('%s', async (name, code) => {
    const result = await run(['run', 'Once', '-m', path(name)]);
    expectError(result, code);
    expect(result.milliseconds).toBeLessThan(30_000);
  });

  it('a name that the board does not know', async () => {
    expectError(await run(['run', 'Once', '-m', 'no-such-model']), 'CLI_MODEL_UNKNOWN');
  });
});

describe.concurrent('a request that cannot be met', () => {
  it('a vector larger than any memory fails its check, and the report comes all the same', async () => {
    const result = await run(['selftest', '--vectors', path('large'), '--json']);
    expect(result.status).toBe(3);
    expect(result.stderr).toContain('SDK_VECTORS_TOO_LARGE');
    expect(JSON.parse(result.stdout)).toMatchObject({ passed: 0, bitMismatches: 0 });
  });

  beforeAll(() => {
    const [first] = JSON.parse(readFileSync('vectors/index.json', 'utf8')).cases;
    mkdirSync(path('large'));
    writeFileSync(path('large/index.json'), JSON.stringify({ cases: [first] }));
    writeFileSync(path(`large/${first.file}`), '');
    truncateSync(path(`large/${first.file}`), 2 ** 32);
  });

  it.each([
    ['a prompt longer than the context', ['run', 'word '.repeat(700)], 'LLM_PROMPT_TOO_LONG'],
    ['a context longer than the model’s', ['run', '-c', '100000'], 'LLM_CONTEXT_LENGTH'],
    ['a chat without a template', ['run', '--chat', 'Hello'], 'LLM_CHAT_TEMPLATE_MISSING'],
    ['an unknown register', ['regs', 'dma0.NOPE'], 'DRIVER_UNKNOWN_REGISTER'],
    ['a write to an unknown register', ['regs', '--write', 'nope.NOPE=1'], 'DRIVER_UNKNOWN_REGISTER'],
    ['a write to a read-only register', ['regs', '--write', 'control.DONE=1'], '\\w*READ_ONLY\\w*'],
    ['a token that the model lacks', ['score', '--tokens', '1,999999999'], '(LLM|AGENT)_\\w*TOKEN\\w*'],
    ['a device that is none', ['run', '-d', 'ftp://x'], 'SDK_URL'],
    ['a fault that is none', ['run', '-d', 'mock:?fault=nope'], 'AGENT_DEVICE_URL'],
    ['an agent that is not there', ['run', '-d', 'ws://127.0.0.1:9'], 'SDK_CONNECT_FAILED'],
    ['a socket that is not there', ['run', '-d', 'unix:/nowhere/agent.sock'], 'SDK_CONNECT_FAILED'],
    ['a prompt file that is not there', ['run', '-f', path('nope.txt')], 'CLI_FILE_UNREADABLE'],
    ['a text that is not there', ['perplexity', path('nope.txt')], 'CLI_FILE_UNREADABLE'],
    ['a trace in a folder that is not there', ['trace', 'record', path('no/x')], 'CLI_FILE_UNWRITABLE'],
    ['a trace that is none', ['trace', 'replay', TINY_MODEL], 'DRIVER_BAD_TRACE'],
    ['vectors that are not there', ['selftest', '--vectors', path('nope')], 'SDK_VECTORS'],
    ['a file to inspect that is none', ['inspect', 'package.json'], 'GGUF_BAD_MAGIC'],
    ['an unloaded model', ['models', 'unload', 'nope'], 'AGENT_MODEL_UNKNOWN'],
    ['a listen address that is none', ['agent', '--listen', 'nowhere'], 'AGENT_\\w+'],
  ])('%s', async (_, args, code) => {
    expectError(await run(args), code);
  });

  it('a name with a line break and terminal codes still makes one line', async () => {
    expectError(await run(['run', '-m', 'two\nlines\u001b[31m']), 'CLI_MODEL_UNKNOWN');
  });
});

// Twice: a step is tried again once.
describe.concurrent('a device with a fault', () => {
  it.each(['dma-decode-error', 'core-stuck', 'no-tlast', 'bus-error'])('%s', async (fault) => {
    const result = await run(['run', 'Once', '-d', `mock:?fault=${fault}:0:2`]);
    expectError(result, '(DRIVER|MOCK|AGENT)_\\w+');
    expect(result.milliseconds).toBeLessThan(30_000);
  });
});

describe.concurrent('an agent', () => {
  it('that is killed during a run ends it with an error, what came before is kept', async () => {
    await using agent = await cliAgent(path('killed-store'));
    const result = await run(['run', 'Once upon a time', '-n', '480', '--ignore-eos', '-d', agent.url], {
      onOutput: () => agent.child.kill('SIGKILL'),
    });
    const [notice, error, ...more] = result.stderr.split('\n');
    expect(notice).toMatch(/^pynq-llm: The connection to ws:.+ broke: .+ Trying again for 15 s\.$/);
    expect(error).toMatch(/^pynq-llm: \[PL\d{4} SDK_CONNECTION_LOST\] .+ within 15 s\. .+ECONNREFUSED.+$/);
    // The number and the remedy of the errors underneath are not repeated.
    expect(error.split('[PL')).toHaveLength(2);
    expect(more).toEqual(['']);
    expect(result.stdout.length).toBeGreaterThan(0);
    expect(result.status).toBe(1);
    expect(result.milliseconds).toBeLessThan(40_000);
  });

  it('with tokens lets nobody in without one, and readers only read', async () => {
    const tokens = path('tokens');
    writeFileSync(tokens, 'read reader-token-0123456789\nadmin admin-token-0123456789\n', { mode: 0o600 });
    await using agent = await cliAgent(path('token-store'), 'mock:', ['--token-file', tokens]);
    const regs = (...more: string[]) => run(['regs', 'dma0.MM2S_SA', '-d', agent.url, ...more]);
    expectError(await regs(), 'AGENT_UNAUTHORISED');
    expectError(await regs('--token', 'another-token-0123456789'), 'AGENT_UNAUTHORISED');
    const env = { PYNQ_LLM_TOKEN: 'reader-token-0123456789' };
    expect((await run(['regs', 'dma0.MM2S_SA', '-d', agent.url], { env })).status).toBe(0);
    const write = ['regs', '--write', 'dma0.MM2S_SA=0', '-d', agent.url];
    expectError(await run(write, { env }), 'PROTOCOL_ROLE_REQUIRED');
    expect((await run(write, { env: { PYNQ_LLM_TOKEN: 'admin-token-0123456789' } })).status).toBe(0);
  });

  it.skipIf(process.platform === 'win32')('says that its token file is open to others', async () => {
    const tokens = path('open-tokens');
    writeFileSync(tokens, 'admin admin-token-0123456789\n', { mode: 0o644 });
    await using agent = await cliAgent(path('token-store'), 'mock:', [
      '--token-file',
      tokens,
      '--log-level',
      'warn',
    ]);
    await expect.poll(agent.log).toContain('chmod 600');
    expect(agent.log()).not.toContain('admin-token');
  });

  it.skipIf(!canMount())(
    'whose disk is full refuses a model and keeps what it has (needs user namespaces)',
    async () => {
      const store = path('small-disk');
      mkdirSync(store);
      const small = path('small.gguf');
      writeFileSync(small, modelOf('llama'));
      // The store leaves 64 MiB of any disk free: this one has room for 1 MiB.
      const script = [
        `mount -t tmpfs -o size=65m none ${store}`,
        `${process.execPath} dist/cli/main.js upload ${small}`,
        `${process.execPath} dist/cli/main.js upload ${TINY_MODEL} || echo "status $?"`,
        `${process.execPath} dist/cli/main.js models`,
      ].join('\n');
      // Not synchronous: the tests beside this one have to see in time what their processes print.
      const { stdout: output } = await promisify(execFile)(
        'unshare',
        ['-rm', 'sh', '-ec', `exec 2>&1\n${script}`],
        {
          env: { PATH: process.env.PATH, PYNQ_LLM_HOME: store },
          encoding: 'utf8',
        },
      );
      expect(output).toMatch(/\[PL\d{4} AGENT_STORE_FULL\] .+\nstatus 1\n/);
      expect(output.split('status 1')[1]).toContain('small.gguf');
    },
  );
});

/** Whether this machine lets an ordinary user mount a file system of his own. */
function canMount(): boolean {
  try {
    execFileSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A well-formed file with one tensor that is no model. */
function modelOf(architecture: string): Buffer {
  const metadata = new Map<string, GgufEntry>([
    ['general.architecture', { type: 'string', value: architecture }],
  ]);
  const pieces: Uint8Array[] = [];
  writeGguf({ write: (bytes) => pieces.push(bytes.slice()) }, metadata, [
    {
      name: 'token_embd.weight',
      type: GgmlType.F32,
      shape: [256, 4],
      produce: (emit) => emit(new Uint8Array(256 * 4 * 4)),
    },
  ]);
  return Buffer.concat(pieces);
}
