import { PynqLlmError } from '../errors/index.js';
import type { GgufValue } from './metadata.js';
import type { GgufTensor } from './tensors.js';
import { BLOCK_FORMATS, type GgmlType, rowBytes, SUPER_BLOCK } from './types.js';

/**
 * Keys of this project's own, of files whose rows are padded with zeros to whole super-blocks, so that they can have K-quants: names
 * of such tensors, and how many values of a row of each are the model's. llama.cpp sees the stored lengths, and refuses them.
 */
export const PADDED_ROWS_KEYS = {
  tensors: 'pynq_llm.padded_rows.tensors',
  columns: 'pynq_llm.padded_rows.columns',
} as const;

/** Bytes of a row of `columns` values, padded to whole blocks. */
export function paddedRowBytes(type: GgmlType, columns: number): number {
  return rowBytes(type, paddedColumns(type, columns));
}

/** Values of a row of `columns` values with padding to whole blocks. */
export function paddedColumns(type: GgmlType, columns: number): number {
  const { blockSize } = BLOCK_FORMATS[type];
  return Math.ceil(columns / blockSize) * blockSize;
}

/**
 * Tensors with the lengths of rows that are the model's: padding is known from a row's bytes alone.
 * @throws PynqLlmError GGUF_PADDED_ROWS
 */
export function withoutPadding(
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: ReadonlyMap<string, GgufTensor>,
): ReadonlyMap<string, GgufTensor> {
  const [names, columns] = [PADDED_ROWS_KEYS.tensors, PADDED_ROWS_KEYS.columns].map((key) =>
    metadata.get(key),
  );
  if (names === undefined && columns === undefined) return tensors;
  if (!Array.isArray(names) || !(columns instanceof Uint32Array) || names.length !== columns.length)
    throw refused('the lists of tensors and of their columns do not belong together');
  const real = new Map(tensors);
  for (const [i, name] of names.entries()) {
    const tensor = tensors.get(name);
    if (tensor === undefined || real.get(name) !== tensor)
      throw refused(`${JSON.stringify(String(name).slice(0, 64))} is no tensor, or is listed twice`);
    real.set(name, unpadded(tensor, columns[i]));
  }
  return real;
}

function unpadded(tensor: GgufTensor, columns: number): GgufTensor {
  const { name, type, shape } = tensor;
  const isPadded = columns > 0 && columns < tensor.columns && paddedColumns(type, columns) === tensor.columns;
  if (BLOCK_FORMATS[type].blockSize !== SUPER_BLOCK || !isPadded)
    throw refused(`${name} cannot have ${columns} values in a stored row of ${tensor.columns}`);
  return { ...tensor, columns, shape: [columns, ...shape.slice(1)] };
}

function refused(why: string): PynqLlmError {
  return new PynqLlmError('GGUF_PADDED_ROWS', `What the file says of padded rows cannot be: ${why}.`);
}
