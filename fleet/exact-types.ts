import type { BoardDescription } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { StepCost, type StepShape } from '../llm/index.js';
import type { CoreTypes } from '../protocol/index.js';

/**
 * How a fleet's boards load models. What other forms matrices have on a core depends on the board, and with them every bit: a
 * request could not go on elsewhere.
 */
export const EXACT_TYPES = 'exact';

/** @throws PynqLlmError FLEET_CORE_TYPES */
export function requireExactTypes(asked: CoreTypes = EXACT_TYPES): typeof EXACT_TYPES {
  if (asked === EXACT_TYPES) return asked;
  throw new PynqLlmError(
    'FLEET_CORE_TYPES',
    `Boards of a fleet load models with exact types, not ${asked}.`,
    {
      context: { coreTypes: asked },
    },
  );
}

/** What steps cost a board of a fleet. */
export function stepCost(step: StepShape, board: BoardDescription): StepCost {
  return new StepCost(step, board, undefined, EXACT_TYPES);
}
