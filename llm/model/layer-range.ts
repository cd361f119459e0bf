import { PynqLlmError } from '../../errors/index.js';

/** Layers from..to-1 of a model; the embedding belongs to the first of all, output norm and matrix to the last. */
export interface LayerRange {
  readonly from: number;
  readonly to: number;
}

/** @returns the layers that were asked for, or all @throws PynqLlmError LLM_STAGE_RANGE */
export function checkRange({ layers }: { readonly layers: number }, asked?: LayerRange): LayerRange {
  const { from, to } = asked ?? { from: 0, to: layers };
  const areWhole = Number.isInteger(from) && Number.isInteger(to);
  if (areWhole && from >= 0 && from < to && to <= layers) return { from, to };
  throw new PynqLlmError(
    'LLM_STAGE_RANGE',
    `The layers ${from} to ${to} were asked for; the model has the layers 0 to ${layers}.`,
    { context: { from, to, layers } },
  );
}
