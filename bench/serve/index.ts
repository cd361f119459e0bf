import type { Model } from '../../sdk/index.js';
import { randomArrivals } from '../scheduling/workload.js';
import { runLoad, type ServedRequest } from './load.js';
import { plotDistributions } from './plot.js';
import { betweenTokens, firstTokens, reportOf, type ServeReport } from './report.js';

export type { ClassReport, Percentiles } from './report.js';

/** The load that is put on a board. */
export interface ServeLoad {
  /** Mean requests a second, and for how many seconds they come. */
  readonly rate: number;
  readonly seconds: number;
  /** Part of the requests that are batch work, 0 to 1. */
  readonly batchShare: number;
  readonly clients: number;
  /** Lengths; each request's is from half of it to double. */
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly seed: number;
}

export interface ServeResult {
  readonly report: ServeReport;
  readonly requests: readonly ServedRequest[];
  /** Distributions of first tokens and of times between tokens, by class. */
  readonly svg: string;
}

/**
 * Measures how a model on a board, or on the mock, serves requests that come at random moments.
 * @param models the model over as many connections as the clients should have
 */
export async function benchServe(
  models: readonly Model[],
  load: ServeLoad,
  signal: AbortSignal,
): Promise<ServeResult> {
  const { rate, seconds, batchShare, promptTokens, outputTokens, seed } = load;
  const clients = Array.from({ length: load.clients }, (_, i) => `client ${i + 1}`);
  const stream = { clients, promptTokens, outputTokens };
  const streams = [
    { ...stream, class: 'interactive' as const, perSecond: rate * (1 - batchShare) },
    { ...stream, class: 'batch' as const, perSecond: rate * batchShare },
  ].filter(({ perSecond }) => perSecond > 0);
  const arrivals = randomArrivals(streams, seconds, seed);
  const begun = performance.now();
  const requests = await runLoad(models, arrivals, { seed, signal });
  const report = reportOf(requests, (performance.now() - begun) / 1_000);
  const of = (served: string) => requests.filter((one) => one.class === served);
  const svg = plotDistributions(`${rate} requests a second, ${100 * batchShare} % of them batch work`, [
    { name: 'interactive: first', colour: '#1f5fbf', values: firstTokens(of('interactive')) },
    { name: 'interactive: between', colour: '#6fa8ff', values: betweenTokens(of('interactive')) },
    { name: 'batch: first', colour: '#b35900', values: firstTokens(of('batch')) },
    { name: 'batch: between', colour: '#ffab57', values: betweenTokens(of('batch')) },
  ]);
  return { report, requests, svg };
}
