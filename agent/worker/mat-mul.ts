import type { Accelerator } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { GgmlType, Q8K_BYTES, quantizeQ8K, rowBytes, SUPER_BLOCK } from '../../gguf/index.js';
import { MAX_MATMUL_BYTES, type Params, type Result } from '../../protocol/index.js';

/**
 * A client's own MatMul: inputs are rounded to Q8_K, as those of models are, and multiplied by the core as staged weights,
 * which take no DMA memory beside the driver's.
 * @throws PynqLlmError DRIVER_BAD_ARGUMENT, DRIVER_UNSUPPORTED_TENSOR; DRIVER_... where the device fails
 */
export function multiply(accelerator: Accelerator, params: Params<'device.matMul'>): Result<'device.matMul'> {
  const { rows, columns, weights } = params;
  const type = GgmlType[params.type];
  const bytes = rowBytes(type, columns);
  requireLength('weights', weights.length, rows * bytes);
  const inputs = new Float32Array(new Uint8Array(params.inputs).buffer);
  const n = inputs.length / columns;
  if (!Number.isInteger(n)) throw badArgument(`${inputs.length} inputs are not whole columns of ${columns}`);
  if (n * rows * 4 > MAX_MATMUL_BYTES) throw badArgument(`${n * rows} results are too many for one call`);
  if (!inputs.every(Number.isFinite)) throw badArgument('an input is not finite');
  const tensor = {
    name: 'own MatMul',
    type,
    rows,
    columns,
    readRows: (first: number, count: number, into: Uint8Array) =>
      into.set(weights.subarray(first * bytes, (first + count) * bytes)),
  };
  const program = accelerator.load(tensor, 'staged');
  try {
    const results = new Float32Array(n * rows);
    const columnBytes = (columns / SUPER_BLOCK) * Q8K_BYTES;
    const fill = (blocks: Uint8Array) => {
      for (let i = 0; i < n; i++) quantizeQ8K(inputs, i * columns, columns, blocks, i * columnBytes);
    };
    accelerator.multiply([program], n, fill, [results]);
    return { results: new Uint8Array(results.buffer), coreCycles: accelerator.cycles([program], n) };
  } finally {
    accelerator.unload(program);
  }
}

function requireLength(what: string, has: number, needed: number): void {
  if (has !== needed) throw badArgument(`the ${what} have ${has} bytes and need ${needed}`);
}

function badArgument(why: string): PynqLlmError {
  return new PynqLlmError('DRIVER_BAD_ARGUMENT', `The MatMul cannot be computed: ${why}.`);
}
