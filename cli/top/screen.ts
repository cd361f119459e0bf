import type { EngineMetricsReading, HistogramReading } from '../../sdk/index.js';
import { formatBytes, formatCount, formatDuration } from '../output/units.js';
import type { Figures } from './figures.js';
import type { FigureHistory } from './history.js';
import { bar, type TopLook, table, WIDE } from './layout.js';
import { type Line, line, wrapped } from './line.js';
import type { Sample } from './sample.js';
import { unitLines } from './units.js';

/** What a screen shows. */
export interface TopView {
  /** The device's URL and the board's title. */
  readonly device: string;
  readonly sample: Sample;
  /** Since the screen before. */
  readonly figures: Figures | undefined;
  readonly history: FigureHistory;
}

/** More are only counted. */
const MAX_SEQUENCES = 12;
const HELP = [
  'q  leave',
  'h  this help',
  's  sort sequences by state, age, tokens or pages',
  'u  all units, or those that say something',
];

/** The lines of a screen; whoever shows them cuts them to its size. */
export function screenLines(view: TopView, look: TopLook): Line[] {
  const { device } = view.sample;
  const parts = look.help ? [HELP.map((text) => line(text))] : [];
  parts.push(headLines(view, look));
  if (view.figures !== undefined) parts.push(coreLines(view.figures, view.history, look));
  if (device !== undefined) {
    parts.push(
      kvLines(device.metrics, look),
      classLines(device.metrics, look),
      sequenceLines(device.metrics, look),
    );
    if (view.figures !== undefined) parts.push(unitLines(view.figures, view.history, look));
  }
  const shown = parts.filter((lines) => lines.length > 0);
  return shown.flatMap((lines, i) => (i === 0 ? lines : [line(), ...lines]));
}

function headLines({ device, sample, figures }: TopView, { columns }: TopLook): Line[] {
  const { state, lastError, uptimeMs, sessions, generations, models, dmaMemory, process, restarts } =
    sample.health;
  const { problems = [] } = sample.health;
  const metrics = sample.device?.metrics;
  const steps = figures && `${rate(figures.stepsPerSecond)} steps/s`;
  const restarted = restarts > 0 ? counted(restarts, 'worker restart') : undefined;
  const facts = [
    `up ${formatDuration(uptimeMs)}`,
    restarted,
    counted(sessions, 'client'),
    counted(generations, 'generation'),
    counted(models, 'model'),
    steps,
    metrics && `${counted(metrics.faults, 'fault')}, ${metrics.recovered} recovered`,
    dmaMemory && `DMA memory ${formatBytes(dmaMemory.free)} of ${formatBytes(dmaMemory.total)} free`,
    `agent ${formatBytes(process.residentBytes)}`,
  ];
  const known = facts.filter((fact) => fact !== undefined);
  return [
    line({ text: device, colour: 'strong' }, '  ', {
      text: state,
      colour: state === 'ready' ? 'good' : 'bad',
    }),
    ...(lastError === undefined ? [] : [line({ text: lastError, colour: 'bad' })]),
    ...problems.map(({ part, error }) => line({ text: `${part} fails: ${error}`, colour: 'bad' })),
    ...wrapped(known, columns),
  ];
}

/** A name, what it is now, and what it was. */
function coreLines(figures: Figures, history: FigureHistory, { columns }: TopLook): Line[] {
  const isWide = columns >= WIDE;
  const { coreBusy, rooflineShare, multiplyAddsPerCycle, peakMultiplyAdds, cycles, seconds } = figures;
  const barWidth = isWide ? 20 : 10;
  const room = barWidth + 10;
  const sparkWidth = isWide ? 30 : 12;
  const row = (name: string, now: Line, past: string, more: string): Line => {
    const width = now.reduce((sum, { text }) => sum + text.length, 0);
    return [
      ...line(name.padEnd(10)),
      ...now,
      ...line(
        ' '.repeat(Math.max(1, room - width)),
        { text: past.padEnd(sparkWidth), colour: 'mark' },
        `  ${more}`,
      ),
    ];
  };
  const toDevice = `${formatBytes(figures.dmaBytesToDevicePerSecond)}/s`;
  const transfers = `${formatCount(figures.dmaTransfersPerSecond)} transfers/s`;
  const peak = `${multiplyAddsPerCycle.toFixed(1)} of ${peakMultiplyAdds}`;
  return [
    row(
      'core busy',
      bar(coreBusy, barWidth),
      history.sparkline((one) => one.coreBusy, sparkWidth, 1),
      `of ${formatCount(cycles / seconds)} cycles/s`,
    ),
    row(
      'roofline',
      bar(rooflineShare, barWidth),
      history.sparkline((one) => one.rooflineShare, sparkWidth, 1),
      `${peak}${isWide ? ' multiply-adds a cycle' : ' MACs'}`,
    ),
    row(
      'tokens/s',
      line({ text: rate(figures.columnsPerSecond), colour: 'strong' }),
      history.sparkline((one) => one.columnsPerSecond, sparkWidth),
      isWide ? 'through the model' : '',
    ),
    row(
      'DMA',
      line(toDevice),
      history.sparkline((one) => one.dmaBytesToDevicePerSecond, sparkWidth),
      isWide ? `${formatBytes(figures.dmaBytesFromDevicePerSecond)}/s back, ${transfers}` : '',
    ),
    row(
      'registers',
      line(`${formatCount(figures.registerAccessesPerSecond)}/s`),
      history.sparkline((one) => one.registerAccessesPerSecond, sparkWidth),
      'accesses',
    ),
  ];
}

function kvLines({ models }: EngineMetricsReading, { columns }: TopLook): Line[] {
  return models.flatMap(({ name, kv }) => {
    if (kv === undefined) return [];
    const share = kv.pages === 0 ? 0 : kv.used / kv.pages;
    const counts = [`${kv.used} of ${kv.pages} pages`, `${kv.cached} kept`, `${kv.pinned} pinned`];
    const totals = [
      `${formatCount(kv.hits)} hits`,
      `${formatCount(kv.evictions)} evictions`,
      `${formatCount(kv.preemptions)} preemptions`,
    ];
    return [
      line(`KV ${kv.type}`.padEnd(10), ...bar(share, columns < WIDE ? 10 : 20), '  ', {
        text: name,
        colour: 'faint',
      }),
      ...wrapped([...counts, ...totals], columns - 10).map((more) => line(' '.repeat(10), ...more)),
    ];
  });
}

function classLines({ classes, models }: EngineMetricsReading, { columns }: TopLook): Line[] {
  const sequences = models.flatMap((model) => model.sequences);
  const names = ['interactive', 'batch'] as const;
  // What has not happened takes no room.
  const rare = (['cancelled', 'refused', 'failed', 'preempted'] as const).filter(
    (what) => columns >= WIDE && names.some((name) => classes[name][what] > 0),
  );
  const times =
    columns < WIDE ? (['firstTokenMs'] as const) : (['queueMs', 'firstTokenMs', 'betweenTokensMs'] as const);
  const rows = names.map((name) => {
    const inState = (state: string) =>
      sequences.filter((one) => one.class === name && one.state === state).length;
    const counts = [
      inState('waiting'),
      inState('running'),
      classes[name].finished,
      ...rare.map((what) => classes[name][what]),
    ];
    return [name, ...counts.map(String), ...times.map((time) => quantiles(classes[name][time]))];
  });
  const headings = ['class', 'waiting', 'running', 'finished', ...rare, ...times.map((time) => TIMES[time])];
  return table(headings, rows, 1, headings.length);
}

/** Of half and of 95 in 100 requests. */
const TIMES = {
  queueMs: 'queue 50/95 %',
  firstTokenMs: 'first token 50/95 %',
  betweenTokensMs: 'between tokens',
} as const;

/** Those that run first, unless sorted otherwise; else in the order of their arrival. */
function sequenceLines({ models }: EngineMetricsReading, { columns, sort }: TopLook): Line[] {
  const sequences = models.flatMap(({ name, sequences: its }) => its.map((one) => ({ ...one, model: name })));
  if (sequences.length === 0) return [];
  const rank = {
    state: (one: (typeof sequences)[number]) => (one.state === 'running' && one.hasCredit ? 0 : 1),
    age: (one: (typeof sequences)[number]) => -one.ageMs,
    tokens: (one: (typeof sequences)[number]) => -(one.promptTokens + one.generated),
    pages: (one: (typeof sequences)[number]) => -one.pages,
  }[sort];
  const isWide = columns >= WIDE;
  const sorted = sequences.toSorted((a, b) => rank(a) - rank(b)).slice(0, MAX_SEQUENCES);
  const rows = sorted.map((one) => {
    const state = one.hasCredit ? one.state : 'unread';
    const tokens = `${one.promptTokens} + ${one.generated}`;
    const age = formatDuration(one.ageMs);
    return isWide
      ? [state, one.class, String(one.priority), age, tokens, String(one.left), String(one.pages), one.model]
      : [state, one.class, age, tokens, String(one.pages)];
  });
  const headings = isWide
    ? ['sequence', 'class', 'priority', 'age', 'tokens', 'to compute', 'pages', 'model']
    : ['sequence', 'class', 'age', 'tokens', 'pages'];
  const more = sequences.length - sorted.length;
  return [...table(headings, rows, 2, isWide ? 7 : 5), ...(more > 0 ? [line(`and ${more} more`)] : [])];
}

/** Half of the values, and 95 of 100, are at most that: bounds of the histogram's buckets, in milliseconds. */
function quantiles(histogram: HistogramReading): string {
  const [half, most] = [0.5, 0.95].map((share) => quantile(histogram, share));
  return half === undefined || most === undefined ? '-' : `${half} / ${most}`;
}

function quantile({ bounds, counts }: HistogramReading, share: number): string | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  let reached = 0;
  const bucket = counts.findIndex((count) => {
    reached += count;
    return reached >= share * total;
  });
  const sign = bucket < bounds.length ? '≤' : '>';
  const bound = bounds[Math.min(bucket, bounds.length - 1)];
  return bound < 1000 ? `${sign}${bound} ms` : `${sign}${bound / 1000} s`;
}

function rate(perSecond: number): string {
  return perSecond >= 100 ? formatCount(perSecond) : perSecond.toFixed(1);
}

function counted(count: number, thing: string): string {
  return `${formatCount(count)} ${thing}${count === 1 ? '' : 's'}`;
}
