/** What a fleet had to do at a time: boards' worth of work, 2.5 where two and a half boards were busy. */
export interface LoadSample {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly busyBoards: number;
  /** Tokens that clients were given since the sample before. */
  readonly tokens?: number | undefined;
}

export interface AdviceOptions {
  readonly boards: number;
  /** How far ahead; an hour unless given: what a board takes to come, load and warm up, and more. */
  readonly horizonMs?: number | undefined;
  /** Share of their time that boards are to be busy for: above it waits grow fast. 0.7 unless given. */
  readonly target?: number | undefined;
}

/** Plain data. */
export interface Advice {
  /** Boards' worth of work that is expected at most until the horizon. */
  readonly expected: number;
  /** Where that figure is from. */
  readonly from: 'now' | 'trend' | 'a day ago' | 'a week ago';
  readonly boards: number;
  /** How many there should be. */
  readonly wanted: number;
  /** Share of their time for which so many would be busy. */
  readonly busyShare: number;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** The mean of so long is what there is to do now; a trend is that of so long. */
const NOW_MS = HOUR / 4;
const TREND_MS = HOUR;
/** Samples that a trend needs. */
const ENOUGH = 4;
/** Boards are given up only where the others would then have so much less than the target: else they come and go. */
const SPARE = 0.85;

/**
 * How many boards a fleet should have: the most work that is expected until the horizon, by what there is to do now, by how that grows,
 * and by what there was to do at this time a day and a week ago, over the share of their time that boards are to be busy for. Pure.
 * @param samples in the order of time, at least one
 */
export function advise(
  samples: readonly LoadSample[],
  { boards, horizonMs = HOUR, target = 0.7 }: AdviceOptions,
): Advice {
  const last = samples.at(-1)?.at ?? 0;
  const between = (from: number, to: number) =>
    samples.filter(({ at }) => at > from && at <= to).map(({ busyBoards }) => busyBoards);
  const before = (ago: number) => smoothedPeak(between(last - ago, last - ago + horizonMs));
  const candidates = [
    { from: 'now' as const, expected: mean(between(last - NOW_MS, last)) },
    { from: 'trend' as const, expected: trend(samples, last, horizonMs) },
    { from: 'a day ago' as const, expected: before(DAY) },
    { from: 'a week ago' as const, expected: before(7 * DAY) },
  ];
  const { from, expected } = candidates.reduce((a, b) => (b.expected > a.expected ? b : a));
  const needed = Math.max(1, Math.ceil(expected / target));
  const canSpare = needed < boards && expected / needed <= SPARE * target;
  const wanted = needed > boards || canSpare ? needed : Math.min(boards, needed + 1);
  return { expected, from, boards, wanted, busyShare: expected / wanted };
}

/** What a straight line through the last hour comes to at the horizon. */
function trend(samples: readonly LoadSample[], last: number, horizonMs: number): number {
  const recent = samples.filter(({ at }) => at > last - TREND_MS);
  if (recent.length < ENOUGH) return 0;
  const at = mean(recent.map((one) => one.at));
  const busy = mean(recent.map((one) => one.busyBoards));
  const spread = recent.reduce((sum, one) => sum + (one.at - at) ** 2, 0);
  if (spread === 0) return 0;
  const slope = recent.reduce((sum, one) => sum + (one.at - at) * (one.busyBoards - busy), 0) / spread;
  return busy + slope * (last + horizonMs - at);
}

/** The most of three samples in a row on average: one alone says little. */
function smoothedPeak(values: readonly number[]): number {
  if (values.length < 3) return mean(values);
  return Math.max(...values.slice(2).map((_, i) => mean(values.slice(i, i + 3))));
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
