import { PynqLlmError } from '../../errors/index.js';
import type { FleetAdvice, Params } from '../../protocol/index.js';
import { advise, type LoadSample } from '../advice/advise.js';
import { runningCosts } from '../advice/running-costs.js';
import type { FleetBoard } from './boards.js';
import { SAMPLE_MS } from './load-meter.js';

/** Tokens of so many last samples, an hour, say what one costs. */
const COSTED = 60;

/**
 * How many boards a fleet should have, by what its gateway has written down.
 * @param boards that are there
 * @throws PynqLlmError FLEET_HISTORY_SHORT
 */
export function adviceOf(
  samples: readonly LoadSample[],
  boards: readonly FleetBoard[],
  { target, horizonMs }: Params<'fleet.advise'>,
): FleetAdvice {
  if (samples.length === 0)
    throw new PynqLlmError(
      'FLEET_HISTORY_SHORT',
      `The gateway writes down what there is to do every ${SAMPLE_MS / 1_000} s, and has not yet.`,
    );
  const staying = boards.filter(({ record }) => !record.isDraining);
  const advice = advise(samples, { boards: Math.max(1, staying.length), target, horizonMs });
  const last = samples.slice(-COSTED);
  const tokens = last.reduce((sum, one) => sum + (one.tokens ?? 0), 0);
  if (tokens === 0) return { ...advice, samples: samples.length };
  const descriptions = boards.map(({ record }) => record.info.description);
  return {
    ...advice,
    samples: samples.length,
    ...runningCosts(descriptions, last.length * SAMPLE_MS, tokens),
  };
}
