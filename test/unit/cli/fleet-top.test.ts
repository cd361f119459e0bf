import { describe, expect, it } from 'vitest';
import { type FleetSample, fleetFiguresOf } from '../../../cli/top/fleet-sample.js';
import { type FleetLook, fleetLines } from '../../../cli/top/fleet-screen.js';
import { drawLine } from '../../../cli/top/line.js';
import { newTraffic } from '../../../driver/traffic.js';
import type { BoardReading, FleetBoardStatus } from '../../../sdk/index.js';

const MODEL = '1'.repeat(64);
const status = (name: string, more: Partial<FleetBoardStatus> = {}): FleetBoardStatus => ({
  name,
  device: 'linux:',
  title: 'PYNQ-Z1',
  agent: '0.1.0',
  state: 'ready',
  places: 8,
  inHand: 2,
  pages: 40,
  tokens: 0,
  redelivered: 0,
  models: [{ model: MODEL, state: 'loaded' }],
  ...more,
});
const served = () => {
  const empty = () => ({ bounds: [1], counts: [0, 0], sum: 0 });
  const times = { queueMs: empty(), firstTokenMs: empty(), betweenTokensMs: empty(), occupancy: empty() };
  return { ...times, finished: 0, failed: 0, cancelled: 0, refused: 0, preempted: 0 };
};
const engine = (steps: number) => ({
  classes: { interactive: served(), batch: served() },
  steps,
  columns: steps,
  faults: 0,
  recovered: 0,
  models: [
    {
      model: MODEL,
      name: 'tiny-stories',
      sequences: [],
      kv: {
        type: 'f16',
        pages: 200,
        used: 50,
        cached: 0,
        pinned: 0,
        bytes: 1,
        hits: 0,
        evictions: 0,
        preemptions: 0,
        restored: 0,
        spillFailures: 0,
      },
    },
  ],
});
const reading = (name: string, coreCycles: number, steps: number, restarts = 0): BoardReading => ({
  name,
  clockHz: 100e6,
  roundTripMs: 0.31,
  health: {
    state: 'ready',
    restarts,
    uptimeMs: 90_000,
    silentMs: 0,
    sessions: 0,
    generations: 0,
    models: 1,
    process: { residentBytes: 1 },
  },
  engine: engine(steps),
  traffic: { ...newTraffic(), coreCycles },
});
function sample(at: number, boards: FleetBoardStatus[], readings: BoardReading[], tokens = 0): FleetSample {
  return {
    at,
    status: { boards, waiting: 3, tokens, redelivered: 1, moved: 0, repeated: 4, diverged: 0 },
    metrics: { ...engine(0), boards: readings },
  };
}

describe('figures of a fleet', () => {
  it('are those of each board between two looks', () => {
    const figures = fleetFiguresOf(
      sample(0, [status('a', { tokens: 10 })], [reading('a', 1e6, 5)], 100),
      sample(2_000, [status('a', { tokens: 30 })], [reading('a', 101e6, 25)], 140),
    );
    expect(figures).toEqual({
      seconds: 2,
      tokensPerSecond: 20,
      boards: { a: { tokensPerSecond: 10, coreBusy: 0.5, stepsPerSecond: 10 } },
    });
  });

  it('are none of a board that came, came back, or whose device was opened anew', () => {
    const { boards } = fleetFiguresOf(
      sample(
        0,
        [status('back', { tokens: 10 }), status('anew', { tokens: 1 }), status('silent')],
        [reading('back', 1, 1), reading('anew', 50, 50), { name: 'silent', clockHz: 1 }],
      ),
      sample(
        1_000,
        [status('back', { tokens: 2 }), status('anew', { tokens: 3 }), status('new'), status('silent')],
        [reading('back', 5, 5), reading('anew', 10, 10, 1), reading('new', 1, 1), reading('silent', 1, 1)],
      ),
    );
    expect(boards).toEqual({ anew: { tokensPerSecond: 2 }, silent: { tokensPerSecond: 0 } });
  });
});

describe('the screen of a fleet', () => {
  const LOOK: FleetLook = { columns: 80, sort: 'name', help: false };
  const before = sample(
    0,
    [status('a-board-with-a-long-name'), status('b')],
    [reading('a-board-with-a-long-name', 0, 0), reading('b', 0, 0)],
  );
  const now = sample(
    1_000,
    [
      status('a-board-with-a-long-name', { tokens: 5, inHand: 1 }),
      status('b', { tokens: 1_200, state: 'draining', inHand: 7 }),
    ],
    [reading('a-board-with-a-long-name', 100e6, 5), reading('b', 10e6, 600)],
    1_205,
  );
  const linesOf = (look: Partial<FleetLook> = {}, of = now) =>
    fleetLines(
      { device: 'ws://gateway:8080', sample: of, figures: fleetFiguresOf(before, of), past: [1, 7] },
      { ...LOOK, ...look },
    ).map((line) => drawLine(line, Number.POSITIVE_INFINITY, false).trimEnd());

  it('has a line a board, and fits 80 columns', () => {
    const lines = linesOf();
    expect(lines[0]).toBe('ws://gateway:8080  2 boards');
    expect(lines.slice(1, 3).join(' ')).toBe(
      '8 requests on boards, 3 waiting, 1205 tokens, 1 redelivery, 4 repeated tokens/s  1205    ▂█',
    );
    expect(lines.slice(-3)).toEqual([
      'board             state     has  tokens/s     core      KV     bus  model',
      'a-board-with-a-…  ready     1/8       5.0  100.0 %  25.0 %  0.3 ms  tiny-stories',
      'b                 draining  7/8      1200   10.0 %  25.0 %  0.3 ms  tiny-stories',
    ]);
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(80);
  });

  it('says more where there is room', () => {
    const lines = linesOf({ columns: 140 });
    expect(lines.at(-1)).toMatch(/^b +draining +7\/8 .* 600 +0 +0 +90\.0 s +tiny-stories$/);
    expect(lines.at(-3)).toMatch(/steps\/s +given away +restarts +up +model$/);
  });

  it.each([80, 100, 110, 120, 200])(
    'has the longest name of a board in what %i columns leave for it',
    (columns) => {
      const name = `b${'-long'.repeat(13)}`.slice(0, 63);
      const of = sample(1_000, [status(name)], [reading(name, 100e6, 5)]);
      const line = linesOf({ columns }, of).at(-1) ?? '';
      expect([...line].length).toBeLessThanOrEqual(columns);
      expect(line).toMatch(/ tiny-stories$/);
      expect(/ 90\.0 s /.test(line)).toBe(columns >= 120);
      expect(line.startsWith(columns === 200 ? `${name}  ready` : name.slice(0, 13))).toBe(true);
    },
  );

  it('sorts boards, and lists its keys', () => {
    const first = (sort: FleetLook['sort']) => linesOf({ sort }).at(-2)?.slice(0, 1);
    expect([first('name'), first('requests'), first('tokens'), first('core')]).toEqual(['a', 'b', 'b', 'a']);
    expect(linesOf({ help: true }).slice(0, 3).join()).toMatch(/q .*h .*s /);
  });

  it('says which board does not answer, which models are none yet, and that boards do not agree', () => {
    const loading = [{ model: '2'.repeat(64), state: 'loading' as const }];
    const of = sample(1_000, [status('b', { models: loading })], [{ name: 'b', clockHz: 1 }]);
    const odd = { ...of, status: { ...of.status, diverged: 2 } };
    const lines = linesOf({}, odd);
    expect(lines.at(-1)).toMatch(/^b +silent +2\/8 +0\.0 +- +- +- +222222222222 \(loading\)$/);
    expect(lines.join('\n')).toContain('2 diverged');
  });

  it('shows a gateway that asks no boards, and a fleet without any', () => {
    const old = { ...now, metrics: { ...engine(0) } };
    expect(linesOf({}, old).at(-1)).toMatch(/^b +draining +7\/8 +1200 +- +- +- +tiny-stories$/);
    const none: FleetSample = { ...sample(1_000, [], []), metrics: undefined };
    expect(linesOf({}, none)[0]).toBe('ws://gateway:8080  0 boards');
  });

  it('lets no name drive the terminal', () => {
    const evil = sample(1_000, [status('b', { models: [{ model: 'x\x1b[2J', state: 'loaded' }] })], []);
    expect(linesOf({}, evil).join('')).not.toContain('\x1b');
  });
});
