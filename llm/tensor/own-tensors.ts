import type { GgufTensor } from '../../gguf/index.js';
import type { ModelConfig } from '../model/config.js';
import { type MatrixTensors, type ModelTensors, rowsOfTensor, valuesOf } from '../model/tensors.js';
import { type Rows, rowsOf, type TensorShare } from './cut.js';

/** The tensors of a model with the rows of each matrix that a board computes, and with what belongs to its rows and heads alone. */
export function ownTensors(
  tensors: ModelTensors,
  { headDim }: ModelConfig,
  share: TensorShare,
): ModelTensors {
  const matrix = ({ weight, bias }: MatrixTensors): MatrixTensors => {
    const rows = rowsOf(weight.name, share, headDim);
    return { weight: own(weight, rows), bias: bias && valuesOf(bias, partOf(rows), rows.first, rows.count) };
  };
  const ofHeads = (norm: GgufTensor | undefined, heads: Rows) =>
    // The same weights for each head, or a row for each.
    norm === undefined || norm.rows === 1 ? norm : own(norm, heads);
  return {
    ...tensors,
    layers: tensors.layers.map((layer) => ({
      ...layer,
      attention: layer.attention && {
        q: matrix(layer.attention.q),
        k: matrix(layer.attention.k),
        v: matrix(layer.attention.v),
        queryNorm: ofHeads(layer.attention.queryNorm, share.heads),
        keyNorm: ofHeads(layer.attention.keyNorm, share.kvHeads),
        output: matrix(layer.attention.output),
      },
      feedForward: layer.feedForward && {
        gate: layer.feedForward.gate && matrix(layer.feedForward.gate),
        up: matrix(layer.feedForward.up),
        down: matrix(layer.feedForward.down),
      },
    })),
    output: own(tensors.output, share.logits),
  };
}

function own(tensor: GgufTensor, rows: Rows): GgufTensor {
  return rowsOfTensor(tensor, partOf(rows), rows.first, rows.count);
}

/** What a part of a tensor is called. */
function partOf({ first, count }: Rows): string {
  return `${first}+${count}`;
}
