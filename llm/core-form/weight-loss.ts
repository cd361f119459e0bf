import { dequantizeRow, type GgufFile, type GgufTensor } from '../../gguf/index.js';
import type { CoreForm } from './core-form.js';
import { RowConverter } from './row-converter.js';

/** Weights of a tensor that are looked at, rows all over it: a loss is the same everywhere but for chance. */
const LOOKED_AT = 2 ** 16;

/**
 * What a form loses of a tensor's weights: the root of the mean square of the differences, relative to that of the weights, on rows
 * at even distances. 0 where the core multiplies the blocks of the file; NaN where there are weights that are no numbers.
 *
 * @throws PynqLlmError GGUF_READ_FAILED
 */
export function weightLoss(gguf: GgufFile, tensor: GgufTensor, form: CoreForm): number {
  if (form.made === 'stored') return 0;
  const { rows, columns, rowBytes, byteOffset, type } = tensor;
  const converter = new RowConverter(columns);
  const looked = Math.min(rows, Math.max(1, Math.floor(LOOKED_AT / columns)));
  const row = new Uint8Array(rowBytes);
  const stored = new Float32Array(columns);
  const made = new Float32Array(form.columns);
  const padded = form.columns / form.parts;
  let [errors, squares] = [0, 0];
  for (let i = 0; i < looked; i++) {
    gguf.source.readInto(byteOffset + Math.floor((i * rows) / looked) * rowBytes, row);
    dequantizeRow(type, row, columns, stored);
    dequantizeRow(form.type, converter.convert({ type, columns }, form, row), form.columns, made);
    for (let j = 0; j < columns; j++) {
      const value = made[j] + (form.parts === 2 ? made[padded + j] : 0);
      errors += (value - stored[j]) ** 2;
      squares += stored[j] ** 2;
    }
  }
  return squares === 0 ? 0 : Math.sqrt(errors / squares);
}
