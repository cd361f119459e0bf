import { z } from 'zod';
import { PynqLlmError } from '../errors/index.js';
import { dequantizeRow, GgmlType, quantizeRow, rowBytes } from '../gguf/index.js';
import { CORE_TYPE_NAMES } from '../protocol/index.js';
import { requireArguments } from './arguments.js';
import type { CoreWeights, CoreWeightType } from './device-client.js';

const QUANTIZE = z.object({
  type: z.enum(CORE_TYPE_NAMES),
  values: z.instanceof(Float32Array, { error: 'must be a Float32Array' }),
  columns: z.int().min(256).multipleOf(256),
});

/**
 * Rounds weights to a type that the core multiplies, for `board.device.matMul`. Scales are chosen by least squares; the bits are not
 * llama.cpp's.
 * @param values finite, row after row
 * @param columns of a row: a multiple of 256
 * @throws PynqLlmError SDK_ARGUMENT, GGUF_BAD_RANGE (values that the type cannot hold)
 */
export function quantizeWeights(type: CoreWeightType, values: Float32Array, columns: number): CoreWeights {
  requireArguments({ type, values, columns }, QUANTIZE);
  const rows = values.length / columns;
  if (!Number.isInteger(rows) || rows === 0)
    throw new PynqLlmError(
      'SDK_ARGUMENT',
      `values has ${values.length} numbers, which are not whole rows of ${columns}.`,
    );
  const bytes = new Uint8Array(rowBytes(GgmlType[type], columns) * rows);
  quantizeRow(GgmlType[type], values, bytes);
  return { type, rows, columns, bytes };
}

/** What the rounded weights are worth, row after row. */
export function dequantizeWeights({ type, rows, columns, bytes }: CoreWeights): Float32Array {
  const values = new Float32Array(rows * columns);
  dequantizeRow(GgmlType[type], bytes, values.length, values);
  return values;
}
