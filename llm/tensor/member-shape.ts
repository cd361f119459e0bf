import type { KvShape } from '../kv/layout.js';
import type { ModelShape } from '../memory/model-shape.js';
import { rowsOf, type TensorShare } from './cut.js';

/** What a board has of a model that is cut by rows: its rows of every matrix, keys and values of its heads, all else whole. */
export function memberShape(model: ModelShape, share: TensorShare): ModelShape {
  return {
    ...model,
    ...memberKvShape(model, share),
    matrices: model.matrices.map((matrix) => ({
      ...matrix,
      rows: rowsOf(matrix.name, share, model.headDim).count,
    })),
  };
}

/** Keys and values of a board's heads alone. @param shape of all heads */
export function memberKvShape<S extends KvShape>(shape: S, { kvHeads: { count } }: TensorShare): S {
  return { ...shape, heads: count * (shape.heads / shape.kvHeads), kvHeads: count };
}
