import { describe, expect, it } from 'vitest';
import { type Figures, figuresOf } from '../../../cli/top/figures.js';
import { FigureHistory, sparkline } from '../../../cli/top/history.js';
import type { TopLook } from '../../../cli/top/layout.js';
import { drawLine, wantsColours } from '../../../cli/top/line.js';
import type { Sample } from '../../../cli/top/sample.js';
import { screenLines } from '../../../cli/top/screen.js';
import { newTraffic } from '../../../driver/traffic.js';

const CLOCK = { clockHz: 100e6, timing: 'systemc' } as const;
const TRAFFIC = newTraffic();
const empty = () => ({ bounds: [10, 1000], counts: [0, 0, 0], sum: 0 });
const served = () => ({
  queueMs: empty(),
  firstTokenMs: empty(),
  betweenTokensMs: empty(),
  occupancy: empty(),
  finished: 0,
  failed: 0,
  cancelled: 0,
  refused: 0,
  preempted: 0,
});
type Device = NonNullable<Sample['device']>;

/** A board that has done nothing, with what a test changes. */
function sample(
  at: number,
  counters: Partial<Device['counters']> = {},
  metrics: Partial<Device['metrics']> = {},
): Sample {
  return {
    at,
    health: {
      state: 'ready',
      restarts: 0,
      uptimeMs: 1,
      silentMs: 0,
      sessions: 1,
      generations: 0,
      models: 0,
      process: { residentBytes: 1 },
    },
    device: {
      counters: { counters: [], traffic: TRAFFIC, ...counters },
      metrics: {
        classes: { interactive: served(), batch: served() },
        steps: 0,
        columns: 0,
        faults: 0,
        recovered: 0,
        models: [],
        ...metrics,
      },
    },
  };
}
const counter = (name: string, targetName: string, cycles: number) => ({
  name,
  target: 1,
  targetName,
  cycles,
  state: 1,
  stateName: 'idle',
});

describe('figures', () => {
  it('are of the cycles of the counter that counts all, also where counters wrap', () => {
    const before = sample(0, {
      counters: [counter('store-unit', 'always', 2 ** 32 - 400), counter('compute', 'computing', 50)],
    });
    const now = sample(2000, {
      counters: [counter('store-unit', 'always', 600), counter('compute', 'computing', 300)],
      traffic: { ...TRAFFIC, multiplyAdds: 64_000, coreCycles: 500, dmaBytesToDevice: 4_000 },
    });
    const figures = figuresOf(before, now, CLOCK)!;
    expect(figures).toMatchObject({
      cycles: 1000,
      coreBusy: 0.5,
      multiplyAddsPerCycle: 64,
      peakMultiplyAdds: 256,
      rooflineShare: 0.25,
    });
    const synthesised = figuresOf(before, now, { ...CLOCK, timing: 'synthesised' });
    expect(synthesised).toMatchObject({ peakMultiplyAdds: 16, rooflineShare: 4 });
    expect(figures.dmaBytesToDevicePerSecond).toBe(2000);
    expect(figures.units.map(({ share }) => share)).toEqual([1, 0.25]);
  });

  it('are of the clock and the time where no counter counts all', () => {
    const now = sample(500, { traffic: { ...TRAFFIC, coreCycles: 10e6 } });
    expect(figuresOf(sample(0), now, CLOCK)).toMatchObject({ cycles: 50e6, coreBusy: 0.2 });
  });

  it('are none where the device was opened anew, or is not open', () => {
    const restarted = { ...sample(1000), health: { ...sample(1000).health, restarts: 1 } };
    expect(figuresOf(sample(0), restarted, CLOCK)).toBeUndefined();
    expect(figuresOf(sample(0), { ...sample(1000), device: undefined }, CLOCK)).toBeUndefined();
  });
});

describe('a screen', () => {
  const LOOK: TopLook = { columns: 120, sort: 'state', allUnits: false, help: false };
  const linesOf = (
    metrics: Partial<Device['metrics']>,
    look: Partial<TopLook> = {},
    figures: Figures | undefined = undefined,
    history = new FigureHistory(),
  ) =>
    screenLines(
      { device: 'mock:', sample: sample(0, {}, metrics), figures, history },
      { ...LOOK, ...look },
    ).map((line) => drawLine(line, look.columns ?? LOOK.columns, false));

  it('tells how long half and 95 of 100 requests waited', () => {
    const interactive = { ...served(), queueMs: { bounds: [10, 1000], counts: [90, 4, 6], sum: 1 } };
    const line = linesOf({ classes: { interactive, batch: served() } }).find((one) =>
      one.startsWith('interactive'),
    );
    expect(line).toContain('≤10 ms / >1 s');
  });

  it('shows a dozen sequences, those that run first, and lets no name drive the terminal', () => {
    const sequence = (state: 'waiting' | 'running') => ({
      class: 'batch' as const,
      priority: 5,
      state,
      hasCredit: true,
      ageMs: 1,
      promptTokens: 3,
      generated: 2,
      left: 1,
      pages: 1,
    });
    const sequences = [
      ...Array.from({ length: 10 }, () => sequence('waiting')),
      ...Array.from({ length: 5 }, () => sequence('running')),
    ];
    const lines = linesOf({ models: [{ model: '0'.repeat(64), name: 'evil\x1b[2J', sequences }] });
    const states = lines
      .map((line) => line.split(' ')[0])
      .filter((word) => word === 'running' || word === 'waiting');
    expect(states).toEqual([...Array(5).fill('running'), ...Array(7).fill('waiting')]);
    expect(lines).toContain('and 3 more');
    expect(lines.join('')).not.toContain('\x1b');
  });

  it('shows shares of units that tell something, lanes together, and all of them where asked', () => {
    const before = sample(0, {
      counters: [
        counter('store-unit', 'always', 0),
        counter('compute', 'computing', 0),
        counter('loader-a', 'loading', 0),
        counter('loader-b', 'loading', 0),
        counter('transfer-a', 'after-first-load', 0),
      ],
    });
    const now = sample(1000, {
      counters: [
        counter('store-unit', 'always', 1000),
        counter('compute', 'computing', 750),
        counter('loader-a', 'loading', 200),
        counter('loader-b', 'loading', 400),
        counter('transfer-a', 'after-first-load', 1000),
      ],
    });
    const figures = figuresOf(before, now, CLOCK)!;
    const history = new FigureHistory();
    history.add(figures);
    const units = linesOf({}, {}, figures, history);
    const row = (name: string) => units.find((one) => one.startsWith(name));
    expect(row('compute')).toMatch(/computing .*75\.0 % +▆ +25\.0 % +idle$/);
    expect(row('loader ')).toMatch(/loading .*30\.0 %/);
    expect(units.join('\n')).not.toMatch(/always|after-first-load|100\.0 %/);
    const all = linesOf({}, { allUnits: true }, figures, history).join('\n');
    expect(all).toMatch(/^loader-a .*20\.0 %/m);
    expect(all).toMatch(/^store-unit .*100\.0 %/m);
    const narrow = linesOf({}, { columns: 60 }, figures, history);
    expect(narrow.find((one) => one.startsWith('compute'))).toMatch(/75\.0 %.*▆$/);
    for (const one of narrow) expect(one.length).toBeLessThanOrEqual(60);
  });

  it('sorts sequences, and lists its keys', () => {
    const sequence = (ageMs: number, generated: number) => ({
      class: 'interactive' as const,
      priority: 5,
      state: 'running' as const,
      hasCredit: true,
      ageMs,
      promptTokens: 1,
      generated,
      left: 1,
      pages: generated,
    });
    const models = [{ model: '0'.repeat(64), name: 'm', sequences: [sequence(1000, 3), sequence(9000, 2)] }];
    const ages = (sort: TopLook['sort']) =>
      linesOf({ models }, { sort }).flatMap((one) => /^running .* (\d\.\d\d s)/.exec(one)?.[1] ?? []);
    expect([ages('state'), ages('age'), ages('tokens')]).toEqual([
      ['1.00 s', '9.00 s'],
      ['9.00 s', '1.00 s'],
      ['1.00 s', '9.00 s'],
    ]);
    expect(linesOf({}, { help: true }).slice(0, 4).join()).toMatch(/q .*h .*s .*u /);
  });

  it('is cut by characters, and coloured only where colours are wanted', () => {
    const line = [{ text: 'ab█', colour: 'good' as const }, { text: 'evil\x1b[2J' }];
    expect(drawLine(line, 4, false)).toBe('ab█e');
    expect(drawLine(line, 2, true)).toBe('\x1b[32mab\x1b[0m');
    expect(drawLine(line, 99, true).split('\x1b[32m').join('').split('\x1b[0m').join('')).not.toContain(
      '\x1b',
    );
    expect(wantsColours({ isTTY: true }, { TERM: 'xterm' })).toBe(true);
    expect(wantsColours({ isTTY: true }, { TERM: 'xterm', NO_COLOR: '1' })).toBe(false);
    expect(wantsColours({ isTTY: true }, { TERM: 'dumb' })).toBe(false);
    expect(wantsColours({}, { TERM: 'xterm' })).toBe(false);
  });

  it('draws what was before in eight heights', () => {
    expect(sparkline([0, 1, 2, 7], 7)).toBe('▁▂▃█');
    expect(sparkline([0, 0])).toBe('▁▁');
    expect(sparkline([5, 10])).toBe('▅█');
  });
});
