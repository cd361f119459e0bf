import type { BoardClient } from '../board-client.js';
import type { Model } from '../model.js';

/** A short text of the bundled model: the prompt, and the likeliest tokens after it on every correct device. */
export const KNOWN_GENERATION = {
  prompt: 'Once upon a time',
  tokens: [8, 80, 286, 598, 1662, 356, 499, 826],
} as const;

const LOAD_UNIT = 'load-unit';
const WEIGHTS = 'weights';

/** What a short generation gave and cost. */
export interface CoreMeasurement {
  readonly tokens: readonly number[];
  readonly milliseconds: number;
  /** What DMA moved, in both directions. */
  readonly dmaBytes: number;
  readonly dmaBytesToDevice: number;
  /** Cycles that the core's load unit took for weights; undefined where the design has no hardware counters. */
  readonly weightCycles: number | undefined;
}

/**
 * Generates a few tokens with the load unit's counter on weights. The counter has its old target afterwards.
 * @throws PynqLlmError of the device
 */
export async function measureGeneration(
  board: BoardClient,
  model: Model,
  signal: AbortSignal,
): Promise<CoreMeasurement> {
  const before = await board.counters.read();
  const loadUnit = before.counters.find(({ name }) => name === LOAD_UNIT);
  if (loadUnit !== undefined) {
    await board.counters.setTargets({ [LOAD_UNIT]: WEIGHTS });
    await board.counters.reset();
  }
  try {
    const tokens: number[] = [];
    const { prompt, tokens: expected } = KNOWN_GENERATION;
    const started = performance.now();
    for await (const { id } of model.generate(prompt, { maxTokens: expected.length, temperature: 0, signal }))
      tokens.push(id);
    const milliseconds = performance.now() - started;
    const after = await board.counters.read();
    return {
      tokens,
      milliseconds,
      dmaBytes: after.traffic.dmaBytes - before.traffic.dmaBytes,
      dmaBytesToDevice: after.traffic.dmaBytesToDevice - before.traffic.dmaBytesToDevice,
      weightCycles: after.counters.find(({ name }) => name === LOAD_UNIT)?.cycles,
    };
  } finally {
    if (loadUnit !== undefined) await board.counters.setTargets({ [LOAD_UNIT]: loadUnit.target });
  }
}
