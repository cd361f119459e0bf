import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import { afterAll, describe, expect, it } from 'vitest';
import { temporaryDirectory } from './support/agent.js';
import { cli } from './support/cli.js';

const home = temporaryDirectory();
afterAll(() => home[Symbol.dispose]());
const env = { ...process.env, PYNQ_LLM_HOME: home.path, PYNQ_LLM_DEVICE: 'mock:' };

/** As a shell runs it, with a pipe. */
function shell(command: string): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], {
    env,
    encoding: 'utf8',
    timeout: 100_000,
  });
  return { status, stdout, stderr };
}

describe('Node.js that is too old', () => {
  it('is told so, in syntax that every Node.js can read', async () => {
    const source = readFileSync('bin/pynq-llm.cjs', 'utf8').replace(/^#!.*/, '');
    expect((await transform(source, { target: 'es5' })).warnings).toEqual([]);
    const old = `Object.defineProperty(process.versions, 'node', { value: '16.20.2' }); require('./bin/pynq-llm.cjs')`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', old], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^pynq-llm: Node\.js 16\.20\.2 is too old; it needs 20\.11 or later\..*\n$/);
  });

  it.each(['20.11.0', '22.0.0', '100.0.0'])('is not %s', (version) => {
    const code = `Object.defineProperty(process.versions, 'node', { value: '${version}' }); require('./bin/pynq-llm.cjs')`;
    const { status, stdout } = spawnSync(process.execPath, ['-e', code, '--', '--version'], {
      encoding: 'utf8',
    });
    expect({ status, stdout }).toEqual({ status: 0, stdout: `${packageVersion()}\n` });
  });

  it('is the program that the package installs', () => {
    const { bin } = JSON.parse(readFileSync('package.json', 'utf8')) as { bin: Record<string, string> };
    expect(bin).toEqual({ 'pynq-llm': './bin/pynq-llm.cjs' });
  });
});

describe('npm ci', () => {
  interface Locked {
    readonly engines?: { readonly node?: string };
    readonly dev?: boolean;
  }
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, Locked>;
  };

  it.each([
    ['20.11.0', 'what the package needs', (one: Locked) => !one.dev],
    ['20.19.0', 'what its developers need', () => true],
  ])('on Node.js %s: %s runs there', async (version, _, counts) => {
    const { default: semver } = (await import('semver' as string)) as {
      default: { satisfies(version: string, range: string): boolean };
    };
    const wanted = Object.entries(packages).filter(
      ([, one]) => counts(one) && one.engines?.node !== undefined,
    );
    expect(wanted.length).toBeGreaterThan(20);
    const refused = wanted.filter(([, one]) => !semver.satisfies(version, one.engines!.node!));
    expect(refused.map(([name, { engines }]) => `${name} ${engines!.node}`)).toEqual([]);
  });
});

describe('standard input that is a pipe', () => {
  it('is the prompt of run, without -', () => {
    const { stdout, status } = shell(`echo 'Tom had a red ball. ' | node dist/cli/main.js run -n 6 --temp 0`);
    const given = shell(`node dist/cli/main.js run 'Tom had a red ball. ' -n 6 --temp 0 < /dev/null`);
    expect(status).toBe(0);
    expect(stdout).toBe(given.stdout);
    const other = shell(
      `echo 'Sue was sad. ' | node dist/cli/main.js run 'Tom had a red ball. ' -n 6 --temp 0`,
    );
    expect(other.stdout).toBe(given.stdout);
  });

  it('is the text of score and of perplexity', () => {
    const score = JSON.parse(shell(`printf 'The sun.' | node dist/cli/main.js score --json --top 0`).stdout);
    const given = JSON.parse(shell(`node dist/cli/main.js score 'The sun.' --json --top 0`).stdout);
    expect(score).toEqual(given);
    const text = 'docs/glossary.md';
    const piped = shell(`node dist/cli/main.js perplexity --json < ${text}`);
    expect(JSON.parse(piped.stdout).perplexity).toBe(
      JSON.parse(shell(`node dist/cli/main.js perplexity ${text} --json`).stdout).perplexity,
    );
  });

  it('which nobody writes to, as children of programs have, is not waited for', async () => {
    // execFile leaves it open.
    const args = ['dist/cli/main.js', 'run', '-n', '2'];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 60_000 });
    expect(stdout).not.toBe('');
  });
});

describe('what is mistyped', () => {
  it.each([
    [['regs', 'dma0.MM2S_DMASRR'], 'Did you mean "dma0.MM2S_DMASR"?'],
    [['regs', 'mm2s_dmasr'], 'Did you mean "dma0.MM2S_DMASR"'],
    [['regs', 'dmaa0'], 'Did you mean "dma0"?'],
    [['counters', '-d', 'mok:kv260'], 'did you mean mock:kv260.'],
    [['counters', '-d', 'mock:kv261'], 'Did you mean "kv260"?'],
    [['counters', '-d', 'shh://xilinx@pynq'], 'did you mean ssh://xilinx@pynq.'],
    [['counters', '-d', 'wx://board:7787'], 'did you mean ws://board:7787.'],
    [['counters', '-d', 'xilinx@pynq'], 'did you mean ssh://xilinx@pynq.'],
    [['cuonters'], 'Did you mean counters?'],
    [['run', '--max-tokns', '3'], 'Did you mean --max-tokens?'],
  ])('%j: %s', async (args, meant) => {
    const { status, stderr } = await cli(args, { home: home.path });
    expect(status).not.toBe(0);
    expect(stderr).toContain(meant);
  });
});

describe('a port in use', () => {
  it.each([
    ['agent', (port: number) => ['agent', '--listen', `ws://127.0.0.1:${port}`, '--log-level', 'silent']],
    ['serve', (port: number) => ['serve', '--port', `${port}`]],
  ])('is said by %s in a line, with its cause', async (_, args) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      const { status, stderr } = await cli(args(port), { home: home.path });
      expect(status).toBe(1);
      expect(stderr).toMatch(new RegExp(`^pynq-llm: \\[PL\\d+ \\w+\\] .*EADDRINUSE.*${port}.*\n$`));
    } finally {
      server.close();
    }
  });
});

describe("run on the board's clock", () => {
  it('tells two descriptions apart that compute alike', async () => {
    const told = async (device: string) => {
      const args = ['run', 'Once upon a time', '-n', '8', '--temp', '0', '-d', device];
      const { stdout } = await cli([...args, '--json'], { home: home.path });
      const { stderr } = await cli(args, { home: home.path });
      const done = JSON.parse(stdout.trim().split('\n').at(-1)!) as {
        boardClock: { clockHz: number; coreSeconds: number; timing: string; tokensPerSecond: number };
        counters: { coreCycles: number };
        timing: { promptTokens: number; generatedTokens: number };
      };
      return { ...done, line: /^on the board's clock .*/m.exec(stderr)?.[0] };
    };
    const z1 = await told('mock:');
    const kv260 = await told('mock:kv260-2026-v3');
    expect(z1.counters.coreCycles).toBe(kv260.counters.coreCycles);
    expect(z1.boardClock).toMatchObject({ clockHz: 100e6, timing: 'synthesised' });
    expect(z1.boardClock.coreSeconds).toBe(z1.counters.coreCycles / 100e6);
    const tokens = z1.timing.promptTokens + z1.timing.generatedTokens;
    expect(z1.boardClock.tokensPerSecond).toBe(tokens / z1.boardClock.coreSeconds);
    expect(kv260.boardClock.clockHz).toBeGreaterThan(100e6);
    expect(kv260.boardClock.tokensPerSecond).toBeGreaterThan(z1.boardClock.tokensPerSecond);
    expect(z1.line).toMatch(/ms of the core at 100 MHz, synthesised timing: at most [\d.]+ tokens\/s$/);
    expect(kv260.line).not.toBe(z1.line);
  });
});

describe('counters of a fresh mock', () => {
  it('are those of a short story, and that is said', async () => {
    const busy = await cli(['counters', '--json'], { home: home.path });
    expect(busy.stderr).toContain('tells a story');
    expect(JSON.parse(busy.stdout).traffic.coreCycles).toBeGreaterThan(1_000_000);
    const idle = await cli(['counters', '--json', '--no-story'], { home: home.path });
    expect(idle.stderr).toBe('');
    expect(JSON.parse(idle.stdout).traffic.coreCycles).toBe(0);
  });
});

function packageVersion(): string {
  return (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version;
}
