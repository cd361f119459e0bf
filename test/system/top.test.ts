import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import { type BoardClient, connect } from '../../sdk/index.js';
import { slowMock, TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';
import { cli, cliAgent, jsonLines } from './support/cli.js';
import { hasPty, ptyCli } from './support/pty.js';

/** Colours, and what clears a line. */
const ESCAPES = new RegExp(`${'\x1b'}\\[[0-9;]*[Km]`, 'g');
const directory = temporaryDirectory();
const home = directory.path;
let agent: AgentHandle;
let board: BoardClient;

beforeAll(async () => {
  agent = await testAgent({ device: slowMock(home) });
  board = await connect(agent.url);
  await board.models.store(TINY_MODEL);
});

afterAll(async () => {
  await board.close();
  await agent.close();
  directory[Symbol.dispose]();
});

/** Something to see. */
async function generating<T>(run: () => Promise<T>): Promise<T> {
  const { digest } = await board.models.store(TINY_MODEL);
  const model = await board.models.load(digest);
  const cancel = new AbortController();
  const options = { maxTokens: 480, ignoreEos: true, signal: cancel.signal, class: 'batch' as const };
  const generation = model.generate('Once upon a time', options);
  const tokens = generation[Symbol.asyncIterator]();
  await tokens.next();
  const reading = (async () => {
    while (!(await tokens.next()).done);
  })().catch(() => {});
  try {
    return await run();
  } finally {
    cancel.abort();
    await reading;
  }
}

interface TopLine {
  readonly health: { readonly state: string };
  readonly metrics: {
    readonly models: readonly {
      readonly sequences: readonly Record<string, unknown>[];
      readonly kv: { used: number };
    }[];
  };
  readonly figures: Record<string, number> & {
    readonly units: readonly { name: string; countedState: string; share: number }[];
  };
}

describe('top', () => {
  it('--once --json has sequences, pages and rates of an interval', async () => {
    const result = await generating(() => cli(['top', '-d', agent.url, '--once', '--json'], { home }));
    expect(result.status).toBe(0);
    const [{ health, metrics, figures }, ...more] = jsonLines<TopLine>(result);
    expect(more).toEqual([]);
    expect(health.state).toBe('ready');
    const [{ sequences, kv }] = metrics.models;
    expect(sequences).toMatchObject([
      { class: 'batch', priority: 5, state: 'running', left: 1, promptTokens: 6 },
    ]);
    expect(kv.used).toBeGreaterThan(0);
    expect(figures.columnsPerSecond).toBeGreaterThan(0);
    expect(figures.dmaBytesToDevicePerSecond).toBeGreaterThan(0);
    expect(figures.coreBusy).toBeGreaterThan(0.5);
    expect(figures.coreBusy).toBeLessThanOrEqual(1);
    // What all shares are of is counted by the device, not taken from its clock.
    expect(figures.units.find(({ countedState }) => countedState === 'always')).toMatchObject({ share: 1 });
    const compute = figures.units.find(({ name }) => name === 'compute')!;
    expect(compute.share).toBeGreaterThan(0);
    // Every cycle of the compute unit takes 256 multiply-adds: the slow board is in the SystemC model's timing.
    expect(figures.multiplyAddsPerCycle).toBeCloseTo(256 * compute.share, 0);
  });

  it('--once prints one screen without escapes, for a board without a model too', async () => {
    const idle = await cli(['top', '--once', '--interval', '0.2', '--no-story'], { home });
    expect(idle.status).toBe(0);
    expect(idle.stdout).toMatch(/^mock: .* ready\nup /);
    expect(idle.stdout).toMatch(/^core busy .* 0\.0 % /m);
    expect(idle.stdout).toMatch(/^compute +computing /m);
    expect(idle.stdout).not.toContain('\x1b');
    expect(idle.stderr).toBe('');
  });

  it('--once on a fresh mock tells a story meanwhile, and says so', async () => {
    const { status, stdout, stderr } = await cli(['top', '--once', '--interval', '2'], { home });
    expect(status).toBe(0);
    expect(stderr).toContain('tells a story');
    expect(Number(/^core busy +[█░]+ +([\d.]+) %/m.exec(stdout)?.[1])).toBeGreaterThan(1);
    expect(stdout).toMatch(/^running +interactive /m);
  });

  it.skipIf(!hasPty).each([
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)(
    'gives the terminal back on %s and ends with its status (needs util-linux script)',
    async (signal, status) => {
      await using terminal = ptyCli(['top', '-d', agent.url, '--interval', '0.3'], { home });
      await terminal.see('roofline');
      const { pid } = terminal.child;
      const top = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
      process.kill(top, signal);
      expect(await terminal.ended).toBe(status);
      expect(terminal.output).toContain('\x1b[?25h\x1b[?1049l');
    },
  );

  it.skipIf(!hasPty)(
    'gives the terminal back on a second Ctrl-C where the agent hangs (needs util-linux script)',
    async () => {
      await using hanging = await cliAgent(home);
      await using terminal = ptyCli(['top', '-d', hanging.url, '--interval', '0.1'], { home });
      await terminal.see('roofline');
      hanging.child.kill('SIGSTOP');
      try {
        // By then it waits for an answer.
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        expect(await terminal.interrupt()).toBe(130);
        expect(terminal.output).toContain('\x1b[?25h\x1b[?1049l');
      } finally {
        hanging.child.kill('SIGCONT');
      }
    },
  );

  it.skipIf(!hasPty)('shows its keys on h, and has colours (needs util-linux script)', async () => {
    await using terminal = ptyCli(['top', '-d', agent.url, '--interval', '0.3'], { home });
    await terminal.see('\x1b[32mready');
    terminal.type('h');
    await terminal.see('sort sequences');
    terminal.type('u');
    await terminal.see('store-unit');
    terminal.type('q');
    expect(await terminal.ended).toBe(0);
  });

  it.skipIf(!hasPty)(
    'redraws a screen cut to the terminal, and gives it back on q (needs util-linux script)',
    async () => {
      const output = await generating(async () => {
        await using terminal = ptyCli(['top', '-d', agent.url, '--interval', '0.3'], {
          home,
          columns: 60,
          rows: 14,
        });
        await terminal.see('\x1b[?1049h');
        await terminal.see('roofline');
        await terminal.see('roofline');
        terminal.type('q');
        expect(await terminal.ended).toBe(0);
        return terminal.output;
      });
      expect(output).toContain('\x1b[?25h\x1b[?1049l');
      const screens = output.split('\x1b[H').slice(1);
      for (const screen of screens) {
        const lines = screen.split('\x1b[J')[0]!.split(/\r+\n/);
        expect(lines.length).toBeLessThanOrEqual(14);
        for (const line of lines) expect([...line.split(ESCAPES).join('')].length).toBeLessThanOrEqual(60);
      }
    },
  );
});
