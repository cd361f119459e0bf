import type { ServedRequest } from './load.js';
import { percentile } from './percentiles.js';

const PERCENTILES = [0.5, 0.9, 0.95, 0.99] as const;
const CLASSES = ['interactive', 'batch'] as const;

/** Milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
}

/** What requests of one class got. */
export interface ClassReport {
  readonly requests: number;
  /** By code. */
  readonly errors: Readonly<Record<string, number>>;
  readonly firstToken: Percentiles;
  readonly betweenTokens: Percentiles;
  readonly end: Percentiles;
}

export interface ServeReport {
  readonly seconds: number;
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** Of generated tokens, their prompts included; NaN where there are none. */
  readonly coreCyclesPerToken: number;
  readonly classes: Readonly<Record<(typeof CLASSES)[number], ClassReport>>;
}

/** @param seconds from the first arrival to the last end */
export function reportOf(requests: readonly ServedRequest[], seconds: number): ServeReport {
  const tokens = requests.reduce((sum, { tokenTimes }) => sum + tokenTimes.length, 0);
  const cycles = requests.reduce((sum, { coreCycles }) => sum + coreCycles, 0);
  const finished = requests.filter(({ error }) => error === undefined);
  const finishedTokens = finished.reduce((sum, { tokenTimes }) => sum + tokenTimes.length, 0);
  const [interactive, batch] = CLASSES.map((served) =>
    classReport(requests.filter((one) => one.class === served)),
  );
  return {
    seconds,
    tokens,
    tokensPerSecond: tokens / seconds,
    coreCyclesPerToken: cycles / finishedTokens,
    classes: { interactive: interactive!, batch: batch! },
  };
}

function classReport(requests: readonly ServedRequest[]): ClassReport {
  const errors: Record<string, number> = {};
  for (const { error } of requests) if (error !== undefined) errors[error] = (errors[error] ?? 0) + 1;
  return {
    requests: requests.length,
    errors,
    firstToken: percentiles(firstTokens(requests)),
    betweenTokens: percentiles(betweenTokens(requests)),
    end: percentiles(
      requests.filter(({ error }) => error === undefined).map(({ tokenTimes }) => tokenTimes.at(-1)!),
    ),
  };
}

/** Milliseconds to the first token, of requests that had one. */
export function firstTokens(requests: readonly ServedRequest[]): number[] {
  return requests.flatMap(({ tokenTimes }) => tokenTimes.slice(0, 1));
}

/** Milliseconds from each token to the next. */
export function betweenTokens(requests: readonly ServedRequest[]): number[] {
  return requests.flatMap(({ tokenTimes }) => tokenTimes.slice(1).map((time, i) => time - tokenTimes[i]!));
}

function percentiles(values: readonly number[]): Percentiles {
  const [p50, p90, p95, p99] = PERCENTILES.map((share) => percentile(values, share));
  return { p50: p50!, p90: p90!, p95: p95!, p99: p99! };
}
