import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BoardClient, connect, type Model } from '../../sdk/index.js';
import { slowMock, TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { cli, jsonLines } from './support/cli.js';
import { type TestFleet, testFleet } from './support/fleet.js';
import { hasPty, ptyCli } from './support/pty.js';

const PROMPT = 'Once upon a time';
/** Colours, and what clears a line. */
const ESCAPES = new RegExp(`${'\x1b'}\\[[0-9;]*[Km]`, 'g');

const directory = temporaryDirectory();
const home = directory.path;
let fleet: TestFleet;
let board: BoardClient;
let model: Model;
beforeAll(async () => {
  fleet = await testFleet({ boards: 2, device: slowMock(home) });
  board = await connect(fleet.url);
  model = await board.models.upload(TINY_MODEL);
});
afterAll(async () => {
  await board?.close();
  await fleet?.[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});

/** Something to see, on every board. */
async function generating<T>(run: () => Promise<T>): Promise<T> {
  const cancel = new AbortController();
  const options = { maxTokens: 480, ignoreEos: true, signal: cancel.signal };
  const readings = [1, 2, 3, 4].map(async (seed) => {
    for (;;) for await (const _ of model.generate(PROMPT, { ...options, seed }));
  });
  for (const reading of readings) reading.catch(() => {});
  await expect
    .poll(async () => (await board.fleetStatus()).boards.every(({ tokens }) => tokens > 0), {
      timeout: 60_000,
    })
    .toBe(true);
  try {
    return await run();
  } finally {
    cancel.abort();
    await Promise.allSettled(readings);
  }
}

describe('fleet top', () => {
  interface TopLine {
    readonly status: { readonly boards: readonly { name: string; inHand: number; tokens: number }[] };
    readonly metrics: { readonly boards: readonly { name: string; roundTripMs: number }[] };
    readonly figures: {
      readonly tokensPerSecond: number;
      readonly boards: Record<string, { tokensPerSecond: number; coreBusy: number }>;
    };
  }

  it('--once --json has each board, its rates and its way over the bus', async () => {
    const result = await generating(() =>
      cli(['fleet', 'top', fleet.url, '--once', '--json', '--interval', '3'], { home }),
    );
    expect(result.status).toBe(0);
    const [{ status, metrics, figures }, ...more] = jsonLines<TopLine>(result);
    expect(more).toEqual([]);
    for (const name of ['mock-1', 'mock-2']) {
      expect(status.boards.find((one) => one.name === name)?.inHand).toBeGreaterThan(0);
      expect(metrics.boards.find((one) => one.name === name)?.roundTripMs).toBeGreaterThan(0);
      expect(figures.boards[name].tokensPerSecond).toBeGreaterThan(0);
      expect(figures.boards[name].coreBusy).toBeGreaterThan(0);
    }
    expect(figures.tokensPerSecond).toBeGreaterThan(0);
  });

  it('--once prints a line a board without escapes, and of one board says that it is none', async () => {
    const { status, stdout, stderr } = await cli(['fleet', 'top', '-d', fleet.url, '--once'], { home });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(`${fleet.url}  2 boards\n`);
    expect(stdout).toMatch(/^mock-1 +ready +0\/8 +0\.0 +0\.0 % .* ms .*tiny-stories$/m);
    expect(stdout).not.toContain('\x1b');
    const one = await cli(['fleet', 'top', 'mock:', '--once'], { home });
    expect(one.stderr).toContain('FLEET_NOT_A_FLEET');
    expect(one.status).not.toBe(0);
  });

  it.skipIf(!hasPty)(
    'redraws a screen of 80 columns, takes keys, and gives the terminal back on q (needs util-linux script)',
    async () => {
      await using terminal = ptyCli(['fleet', 'top', fleet.url, '--interval', '0.3'], {
        home,
        columns: 80,
        rows: 14,
      });
      await terminal.see('mock-2');
      terminal.type('h');
      await terminal.see('sort boards');
      terminal.type('s');
      terminal.type('q');
      expect(await terminal.ended).toBe(0);
      expect(terminal.output).toContain('\x1b[?25h\x1b[?1049l');
      for (const screen of terminal.output.split('\x1b[H').slice(1))
        for (const line of screen.split('\x1b[J')[0]!.split(/\r+\n/))
          expect([...line.split(ESCAPES).join('')].length).toBeLessThanOrEqual(80);
    },
  );
});

describe('metrics of each board', () => {
  it('are its own, and add up to those of the fleet', async () => {
    await generating(async () => undefined);
    await expect
      .poll(async () => (await board.fleetStatus()).boards.map(({ inHand }) => inHand))
      .toEqual([0, 0]);
    const { boards = [], ...totals } = await board.metrics();
    expect(boards.map(({ name }) => name)).toEqual(['mock-1', 'mock-2']);
    for (const { health, engine, traffic, roundTripMs } of boards) {
      expect(health?.state).toBe('ready');
      expect(engine?.steps).toBeGreaterThan(0);
      expect(traffic?.coreCycles).toBeGreaterThan(0);
      expect(roundTripMs).toBeGreaterThan(0);
    }
    for (const what of ['steps', 'columns'] as const)
      expect(boards.reduce((sum, { engine }) => sum + (engine?.[what] ?? 0), 0)).toBe(totals[what]);
    const { boards: known, tokens } = await board.fleetStatus();
    expect(known.reduce((sum, one) => sum + one.tokens, 0)).toBe(tokens);
  });

  it('are none of a board that does not answer, and the board itself is gone once it is lost', async () => {
    await using lossy = await testFleet({ boards: 2, leaseMs: 8_000 });
    await using client = await connect(lossy.url);
    lossy.boards.get('mock-2')?.cut.now();
    const silent = (await client.metrics()).boards?.find(({ name }) => name === 'mock-2');
    // Its lease may be over by then, where the machine is slow: the board is gone then.
    if (silent !== undefined) expect(silent).toEqual({ name: 'mock-2', clockHz: expect.any(Number) });
    await expect
      .poll(async () => (await client.fleetStatus()).boards.map(({ name }) => name), { timeout: 60_000 })
      .toEqual(['mock-1']);
    expect((await client.metrics()).boards?.map(({ name }) => name)).toEqual(['mock-1']);
  });
});
