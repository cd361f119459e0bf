import { log, Random, type ServiceClass } from '../../llm/index.js';

/** A request as it arrives. */
export interface Arrival {
  /** Milliseconds from the beginning. */
  readonly at: number;
  readonly class: ServiceClass;
  /** Whose share it is of. */
  readonly client: string;
  /** What the client calls itself: it divides its share by that. */
  readonly name?: string;
  /** 5 unless given. */
  readonly priority?: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

export interface Stream {
  readonly class: ServiceClass;
  readonly clients: readonly string[];
  /** Mean requests a second. */
  readonly perSecond: number;
  /** Requests that come at one moment. */
  readonly burst?: number;
  /** Lengths, from half of it to double. */
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** Requests of several streams at random moments (a Poisson process each), in the order of their arrival. */
export function randomArrivals(streams: readonly Stream[], seconds: number, seed: number): Arrival[] {
  const random = new Random(seed);
  // From half to double, with the given mean of the logarithm.
  const spread = (mean: number) => Math.max(1, Math.round((mean * (1 + 3 * random.nextDouble())) / 2));
  const arrivals: Arrival[] = [];
  for (const { clients, burst = 1, ...stream } of streams) {
    const gap = () => (-log(1 - random.nextDouble()) * 1_000 * burst) / stream.perSecond;
    for (let at = gap(); at < seconds * 1_000; at += gap())
      for (let i = 0; i < burst; i++)
        arrivals.push({
          at,
          class: stream.class,
          client: clients[random.nextUint32() % clients.length]!,
          promptTokens: spread(stream.promptTokens),
          outputTokens: spread(stream.outputTokens),
        });
  }
  return arrivals.sort((a, b) => a.at - b.at);
}
