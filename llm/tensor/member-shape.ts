import type { ModelShape } from '../memory/model-shape.js';
import { rowsOf, type TensorShare } from './cut.js';

/** What a board has of a model that is cut by rows: its rows of every matrix, keys and values of its heads, all else whole. */
export function memberShape(model: ModelShape, share: TensorShare): ModelShape {
  const { count } = share.kvHeads;
  return {
    ...model,
    heads: count * (model.heads / model.kvHeads),
    kvHeads: count,
    matrices: model.matrices.map((matrix) => ({
      ...matrix,
      rows: rowsOf(matrix.name, share, model.headDim).count,
    })),
  };
}
