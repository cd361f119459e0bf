import type { BoardClient, BoardHealth, CounterReading, EngineMetricsReading } from '../../sdk/index.js';

/** What a board tells of itself at a moment. */
export interface Sample {
  /** Milliseconds of the laptop's clock. */
  readonly at: number;
  readonly health: BoardHealth;
  /** Only while the device is open. */
  readonly device: { readonly counters: CounterReading; readonly metrics: EngineMetricsReading } | undefined;
}

/** Asks the board; what the device's worker knows waits for the step that runs. */
export async function takeSample(board: BoardClient): Promise<Sample> {
  const health = await board.health();
  if (health.state !== 'ready') return { at: performance.now(), health, device: undefined };
  const [counters, metrics] = await Promise.all([board.counters.read(), board.metrics()]);
  return { at: performance.now(), health, device: { counters, metrics } };
}
