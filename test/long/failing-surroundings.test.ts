import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { request } from 'node:http';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BoardClient, connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from '../system/support/agent.js';

const MAIN = resolve('dist/cli/main.js');
/** An agent without generations under way ends at once; machines that are busy take longer. */
const END_MS = 15_000;
const ENDED = { status: 0, by: null };
/** Lines of sessions with the longest name of a client; more than a pipe and all that waits for it hold. */
const CONNECTIONS = 20;

let folder: ReturnType<typeof temporaryDirectory>;
const children: ChildProcess[] = [];
const files: number[] = [];
beforeEach(() => {
  folder = temporaryDirectory();
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
  for (const file of files.splice(0)) closeSync(file);
  folder[Symbol.dispose]();
});

type Output = number | 'pipe' | 'ignore';

/** An agent whose output goes to these files; ready once it answers. */
async function agentInto(stdout: Output, stderr: Output, ...more: readonly string[]) {
  const url = `unix:${join(folder.path, 'agent.sock')}`;
  const args = [MAIN, 'agent', '--listen', url, ...more];
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, HOME: folder.path, PYNQ_LLM_HOME: join(folder.path, 'store') },
    stdio: ['ignore', stdout, stderr],
  });
  children.push(child);
  await expect.poll(() => answers(url), { timeout: 60_000 }).toBe(true);
  return { child, url };
}

async function answers(url: string): Promise<boolean> {
  try {
    await using board = await connect(url, { timeoutMs: 10_000, reconnectMs: 0 });
    return (await board.health()).state === 'ready';
  } catch {
    return false;
  }
}

/** Has the agent write lines of its log, one for each connection. */
async function writeLog(url: string, lines: number): Promise<void> {
  for (let i = 0; i < lines; i++)
    await (await connect(url, { client: 'x'.repeat(200), reconnectMs: 0 })).close();
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGINT') {
  const exit = once(child, 'exit', { signal: AbortSignal.timeout(END_MS) });
  child.kill(signal);
  const [status, by] = await exit;
  return { status, by };
}

/** Both ends of a real pipe; `spawn` by itself makes sockets. */
function pipe() {
  const path = join(folder.path, `pipe-${files.length}`);
  spawnSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { reader, writer: openSync(path, 'w') };
}

/** Leaves no room in a pipe. */
function fill(writer: number): void {
  const unblocked = openSync(`/proc/self/fd/${writer}`, constants.O_WRONLY | constants.O_NONBLOCK);
  try {
    for (;;) writeSync(unblocked, ' '.repeat(4096));
  } catch {
    // It is full.
  } finally {
    closeSync(unblocked);
  }
}

describe.skipIf(process.platform !== 'linux')('an agent goes on, and ends when it is told to,', () => {
  it.each([
    ['at once', 'SIGTERM'],
    ['at once', 'SIGINT'],
    ['after a line', 'SIGTERM'],
    ['after a line', 'SIGINT'],
  ] as const)('when the reader of its address and its log goes %s (%s)', async (when, signal) => {
    const { reader, writer } = pipe();
    if (when === 'at once') closeSync(reader);
    const { child, url } = await agentInto(writer, writer);
    closeSync(writer);
    if (when === 'after a line') {
      const line = Buffer.alloc(200);
      expect(line.toString('utf8', 0, readSync(reader, line))).toContain('agent listens');
      closeSync(reader);
    }
    await writeLog(url, CONNECTIONS);
    expect(await answers(url)).toBe(true);
    expect(await end(child, signal)).toEqual(ENDED);
    expect(await answers(url)).toBe(false);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'when the reader of its address and its log reads nothing and the pipe is full (%s)',
    async (signal) => {
      const { reader, writer } = pipe();
      files.push(reader, writer);
      fill(writer);
      const { child, url } = await agentInto(writer, writer, '--log-level', 'trace');
      await writeLog(url, CONNECTIONS);
      expect(await answers(url)).toBe(true);
      expect(await end(child, signal)).toEqual(ENDED);
    },
  );

  it('when its log is a socket that nobody reads, or whose other end has gone', async () => {
    const { child, url } = await agentInto('pipe', 'pipe');
    child.stdout?.destroy();
    await writeLog(url, CONNECTIONS);
    child.stderr?.destroy();
    await writeLog(url, 3);
    expect(await answers(url)).toBe(true);
    expect(await end(child, 'SIGTERM')).toEqual(ENDED);
  });

  it.skipIf(!existsSync('/dev/full'))(
    'when neither its log nor its address has room on the disk',
    async () => {
      const full = openSync('/dev/full', 'w');
      files.push(full);
      const { child, url } = await agentInto(full, full);
      await writeLog(url, CONNECTIONS);
      expect(await answers(url)).toBe(true);
      expect(await end(child, 'SIGTERM')).toEqual(ENDED);
    },
  );

  it('and has every line in a file until the last', async () => {
    const log = openSync(join(folder.path, 'log'), 'a');
    files.push(log);
    const { child, url } = await agentInto('ignore', log);
    await writeLog(url, 3);
    expect(await end(child, 'SIGTERM')).toEqual(ENDED);
    const lines = readFileSync(join(folder.path, 'log'), 'utf8').trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(
      expect.arrayContaining(['agent listens', 'session opened', 'agent ends']),
    );
  });
});

describe.skipIf(process.platform !== 'linux')('a server goes on, and ends when it is told to,', () => {
  it('when the reader of its address and its notices has gone', async () => {
    const { reader, writer } = pipe();
    const child = spawn(process.execPath, [MAIN, 'serve', '--device', 'mock:', '--port', '0'], {
      env: { PATH: process.env.PATH, HOME: folder.path, PYNQ_LLM_HOME: folder.path },
      stdio: ['ignore', writer, writer],
    });
    children.push(child);
    closeSync(writer);
    let notice = '';
    const piece = Buffer.alloc(1_000);
    await expect
      .poll(
        () => {
          try {
            notice += piece.toString('utf8', 0, readSync(reader, piece));
          } catch {
            // Nothing is there yet.
          }
          return notice;
        },
        { timeout: 60_000 },
      )
      .toContain('answers 503');
    closeSync(reader);
    const [url] = /http:\/\/\S+/.exec(notice) ?? [];
    await expect.poll(async () => (await fetch(`${url}/health`)).status, { timeout: 60_000 }).toBe(200);
    expect(await end(child, 'SIGTERM')).toEqual(ENDED);
  });
});

describe.skipIf(process.platform === 'win32')('health', () => {
  it('says that the store is gone, and what is loaded is served', async () => {
    const { url } = await agentInto('ignore', 'ignore');
    await using board = await connect(url);
    const model = await board.models.upload(TINY_MODEL);
    expect((await board.health()).problems).toBeUndefined();
    rmSync(join(folder.path, 'store'), { recursive: true });
    const health = await board.health();
    expect(health).toMatchObject({
      state: 'ready',
      problems: [{ part: 'store', error: expect.stringContaining('ENOENT') }],
    });
    expect(health.store).toBeUndefined();
    const told = await healthOverHttp(url);
    expect(told).toMatchObject({ status: 200, body: { status: 'ok', problems: [{ part: 'store' }] } });
    expect((await model.generate('Once', { maxTokens: 2 }).text()).length).toBeGreaterThan(0);
  });

  it.skipIf(spawnSync('prlimit', ['--version']).status !== 0)(
    'is answered where no file can be opened any more',
    async () => {
      const { child, url } = await agentInto('ignore', 'ignore');
      await using board = await connect(url, { reconnectMs: 0 });
      const limit = (files: number) =>
        spawnSync('prlimit', ['--pid', String(child.pid), `--nofile=${files}:`]).status;
      // Those that are open stay open.
      expect(limit(3)).toBe(0);
      // What packed weights take of the store is read of their folder.
      expect(await partsOf(board)).toEqual(['store', 'process']);
      expect(limit(256)).toBe(0);
      expect(await partsOf(board)).toEqual([]);
    },
  );
});

async function partsOf(board: BoardClient): Promise<string[]> {
  const { problems = [], state, process: own } = await board.health({ timeoutMs: 10_000 });
  expect([state, own.residentBytes > 0]).toEqual(['ready', true]);
  return problems.map(({ part }) => part);
}

async function healthOverHttp(
  url: string,
): Promise<{ readonly status: number | undefined; readonly body: unknown }> {
  const asked = request({
    socketPath: url.slice('unix:'.length),
    path: '/health',
    headers: { host: 'localhost' },
  });
  asked.end();
  const [answer] = await once(asked, 'response');
  const pieces: Buffer[] = [];
  for await (const piece of answer) pieces.push(piece);
  return { status: answer.statusCode, body: JSON.parse(Buffer.concat(pieces).toString()) };
}
