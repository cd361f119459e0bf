import type { CoreType } from '../../gguf/index.js';
import { PREPARED_INPUT } from '../kernel.js';
import type { FieldMemory } from './field-memory.js';

/**
 * One COMPUTE from unpacked fields, in the manual's arithmetic: for any history of loads and types.
 *
 * @param inputs the kernels' memory from the first prepared input block on
 * @returns columns * rows float32, column after column
 */
export function multiplyFields(
  fields: FieldMemory,
  type: CoreType,
  inputs: DataView,
  kb: number,
  rows: number,
  columns: number,
): Float32Array {
  const results = new Float32Array(rows * columns);
  for (let column = 0; column < columns; column++)
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let k = 0; k < kb; k++) {
        const input = new DataView(
          inputs.buffer,
          inputs.byteOffset + (column * kb + k) * PREPARED_INPUT.bytes,
          PREPARED_INPUT.bytes,
        );
        sum = Math.fround(sum + multiplySlot(fields, type, row * kb + k, input));
      }
      results[column * rows + row] = sum;
    }
  return results;
}

function multiplySlot(fields: FieldMemory, type: CoreType, slot: number, input: DataView): number {
  const inputScale = input.getFloat32(PREPARED_INPUT.scale, true);
  let products = 0;
  let minima = 0;
  for (let group = 0; group < 16; group++) {
    let sum = 0;
    for (let i = 0; i < 16; i++)
      sum += fields.weight(type, slot, group * 16 + i) * preparedQuant(input, group, i);
    products = (products + sum * fields.scale(type, slot, group)) | 0;
    const sentSum = input.getInt16(PREPARED_INPUT.sentSums + 2 * group, true);
    minima = (minima + sentSum * fields.minimum(type, slot, group)) | 0;
  }
  const scaled = Math.fround(Math.fround(products) * Math.fround(fields.scaleOf(slot) * inputScale));
  if (type === 3 || type === 6) return scaled;
  const minimum = Math.fround(fields.minimumOf(slot) * inputScale);
  return Math.fround(scaled - Math.fround(Math.fround(minima) * minimum));
}

/** Quant `i` of a group; in which order they lie is said in ../assembly/layout.ts. */
function preparedQuant(input: DataView, group: number, i: number): number {
  const pair = 2 * (i >> 1) + (group & 1);
  return input.getInt8(PREPARED_INPUT.quants + 32 * (group >> 1) + 2 * pair + (i & 1));
}
