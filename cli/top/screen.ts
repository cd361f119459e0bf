import { harmless } from '../../errors/index.js';
import type { EngineMetricsReading, HistogramReading } from '../../sdk/index.js';
import { formatTable } from '../output/table.js';
import { formatBytes, formatCount, formatDuration, formatShare } from '../output/units.js';
import type { Figures } from './figures.js';
import type { Sample } from './sample.js';

/** What a screen shows. */
export interface TopView {
  /** The device's URL and the board's title. */
  readonly device: string;
  readonly sample: Sample;
  /** Since the screen before. */
  readonly figures: Figures | undefined;
}

const BAR_WIDTH = 20;
/** More are only counted. */
const MAX_SEQUENCES = 12;

/** The lines of a screen; whoever shows them cuts them to its size. */
export function screenLines(view: TopView): string[] {
  const { device } = view.sample;
  const parts = [headLines(view)];
  if (view.figures !== undefined) parts.push(coreLines(view.figures));
  if (device !== undefined) {
    parts.push(kvLines(device.metrics), classLines(device.metrics), sequenceLines(device.metrics));
    if (view.figures !== undefined) parts.push(unitLines(view.figures));
  }
  const shown = parts.filter((lines) => lines.length > 0);
  // Names of models come from their files: nothing in them may drive the terminal.
  return shown.flatMap((lines, i) => (i === 0 ? lines : ['', ...lines])).map(harmless);
}

function headLines({ device, sample, figures }: TopView): string[] {
  const { state, lastError, uptimeMs, sessions, generations, models, dmaMemory, process, restarts } =
    sample.health;
  const { problems = [] } = sample.health;
  const metrics = sample.device?.metrics;
  const rates =
    figures &&
    `${rate(figures.stepsPerSecond)} steps/s, ${rate(figures.columnsPerSecond)} tokens/s through the model`;
  const faults = metrics && `${counted(metrics.faults, 'fault')}, ${metrics.recovered} recovered`;
  const dma =
    dmaMemory && `DMA memory ${formatBytes(dmaMemory.free)} of ${formatBytes(dmaMemory.total)} free`;
  return [
    `${device}  ${state}, up ${formatDuration(uptimeMs)}${restarts > 0 ? `, ${counted(restarts, 'worker restart')}` : ''}`,
    ...(lastError === undefined ? [] : [lastError]),
    ...problems.map(({ part, error }) => `${part} fails: ${error}`),
    listed(
      counted(sessions, 'client'),
      counted(generations, 'generation'),
      counted(models, 'model'),
      rates,
      faults,
    ),
    listed(dma, `agent ${formatBytes(process.residentBytes)}`),
  ];
}

function coreLines(figures: Figures): string[] {
  const { coreBusy, rooflineShare, multiplyAddsPerCycle, peakMultiplyAdds, cycles, seconds } = figures;
  return [
    `core      ${bar(coreBusy)} busy, of ${formatCount(cycles / seconds)} cycles/s`,
    `roofline  ${bar(rooflineShare)} ${multiplyAddsPerCycle.toFixed(1)} of ${peakMultiplyAdds} multiply-adds a cycle`,
    `DMA       ${formatBytes(figures.dmaBytesToDevicePerSecond)}/s to the device, ${formatBytes(figures.dmaBytesFromDevicePerSecond)}/s back, ` +
      `${formatCount(figures.dmaTransfersPerSecond)} transfers/s, ${formatCount(figures.registerAccessesPerSecond)} register accesses/s`,
  ];
}

function kvLines({ models }: EngineMetricsReading): string[] {
  return models.flatMap(({ name, kv }) => {
    if (kv === undefined) return [];
    const counts = `${kv.used} of ${kv.pages} pages, ${kv.cached} kept, ${kv.pinned} pinned`;
    const totals = `${formatCount(kv.hits)} hits, ${formatCount(kv.evictions)} evictions, ${formatCount(kv.preemptions)} preemptions`;
    return `KV ${kv.type} ${bar(kv.pages === 0 ? 0 : kv.used / kv.pages)} ${counts}; ${totals}  ${name}`;
  });
}

function classLines({ classes, models }: EngineMetricsReading): string[] {
  const sequences = models.flatMap((model) => model.sequences);
  const rows = (['interactive', 'batch'] as const).map((name) => {
    const { finished, refused, failed, cancelled, preempted, queueMs, firstTokenMs, betweenTokensMs } =
      classes[name];
    const inState = (state: string) =>
      sequences.filter((one) => one.class === name && one.state === state).length;
    const counts = [inState('waiting'), inState('running'), finished, cancelled, refused, failed, preempted];
    return [name, ...counts.map(String), ...[queueMs, firstTokenMs, betweenTokensMs].map(quantiles)];
  });
  const headings = ['class', 'waiting', 'running', 'finished', 'cancelled', 'refused', 'failed', 'preempted'];
  const times = ['queue 50/95 %', 'first token', 'between tokens'];
  return table([...headings, ...times], rows, 1);
}

/** Those that run, then those that wait, in the order of their arrival. */
function sequenceLines({ models }: EngineMetricsReading): string[] {
  const rows = models.flatMap(({ name, sequences }) =>
    sequences.map((one) => [
      one.hasCredit ? one.state : 'unread',
      one.class,
      String(one.priority),
      formatDuration(one.ageMs),
      `${one.promptTokens} + ${one.generated}`,
      String(one.left),
      String(one.pages),
      name,
    ]),
  );
  if (rows.length === 0) return [];
  const order = (state: string | undefined) => (state === 'running' ? 0 : 1);
  const sorted = rows.toSorted(([a], [b]) => order(a) - order(b));
  const headings = ['sequence', 'class', 'priority', 'age', 'tokens', 'to compute', 'pages', 'model'];
  return [
    ...table(headings, sorted.slice(0, MAX_SEQUENCES), 2, 7),
    ...(sorted.length > MAX_SEQUENCES ? [`and ${sorted.length - MAX_SEQUENCES} more`] : []),
  ];
}

function unitLines({ units }: Figures): string[] {
  const rows = units.map(({ name, countedState, share, stateNow }) => [
    name,
    countedState,
    bar(share),
    stateNow,
  ]);
  return rows.length === 0 ? [] : table(['unit', 'counted state', 'share of cycles', 'now'], rows);
}

/** @param rightFrom the first column of numbers @param rightTo the one after the last */
function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  rightFrom = headings.length,
  rightTo = headings.length,
): string[] {
  const columns = headings.map((heading, i) => ({ heading, right: i >= rightFrom && i < rightTo }));
  return formatTable(columns, rows).split('\n');
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

function bar(share: number): string {
  const filled = Math.round(Math.min(1, share) * BAR_WIDTH);
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${formatShare(share).padStart(7)}`;
}

function rate(perSecond: number): string {
  return perSecond >= 100 ? formatCount(perSecond) : perSecond.toFixed(1);
}

function counted(count: number, thing: string): string {
  return `${formatCount(count)} ${thing}${count === 1 ? '' : 's'}`;
}

function listed(...parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined).join(', ');
}
