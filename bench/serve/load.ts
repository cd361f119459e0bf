import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../../llm/index.js';
import { isPynqLlmError, type Model } from '../../sdk/index.js';
import type { Arrival } from '../scheduling/workload.js';

/** What became of a request. Times are milliseconds from its arrival. */
export interface ServedRequest extends Arrival {
  /** When each token came. */
  readonly tokenTimes: readonly number[];
  readonly coreCycles: number;
  /** The error's code where it did not end as it should. */
  readonly error: string | undefined;
}

/** Ids of control tokens come first in a vocabulary. */
const FIRST_TOKEN = 10;
/** A request beyond the moment that the load was to end at is cut off after so long. */
const STALL_MS = 600_000;

/**
 * Sends the arrivals at their times, each with a random prompt of its length, and waits until all have ended.
 * @param models the model over one connection or several: a client keeps to one
 */
export async function runLoad(
  models: readonly Model[],
  arrivals: readonly Arrival[],
  { seed, signal }: { readonly seed: number; readonly signal: AbortSignal },
): Promise<ServedRequest[]> {
  const random = new Random(seed);
  const { vocabularySize, contextLength } = models[0]!.info;
  const clients = [...new Set(arrivals.map(({ client }) => client))];
  const begun = performance.now();
  const running: Promise<ServedRequest>[] = [];
  for (const arrival of arrivals) {
    const promptTokens = Math.min(arrival.promptTokens, contextLength - 1);
    const outputTokens = Math.min(arrival.outputTokens, contextLength - promptTokens);
    const token = () => FIRST_TOKEN + (random.nextUint32() % (vocabularySize - FIRST_TOKEN));
    const tokens = Array.from({ length: promptTokens }, token);
    await delay(Math.max(0, arrival.at - (performance.now() - begun)), undefined, { signal });
    const model = models[clients.indexOf(arrival.client) % models.length]!;
    running.push(serve(model, { ...arrival, promptTokens, outputTokens }, tokens, signal));
  }
  return Promise.all(running);
}

async function serve(
  model: Model,
  arrival: Arrival,
  tokens: readonly number[],
  signal: AbortSignal,
): Promise<ServedRequest> {
  const begun = performance.now();
  const tokenTimes: number[] = [];
  const { class: served, client, outputTokens } = arrival;
  const generation = model.generate(
    { tokens },
    { maxTokens: outputTokens, ignoreEos: true, seed: 1, class: served, client, stallMs: STALL_MS, signal },
  );
  try {
    for await (const _ of generation) tokenTimes.push(performance.now() - begun);
    const { coreCycles } = (await generation.done).counters;
    return { ...arrival, tokenTimes, coreCycles, error: undefined };
  } catch (error) {
    if (!isPynqLlmError(error)) throw error;
    return { ...arrival, tokenTimes, coreCycles: 0, error: error.code };
  }
}
