import { describe, expect, it } from 'vitest';
import {
  BLOCK_FORMATS,
  GgmlType,
  gridOf,
  Q8K_BYTES,
  SUPER_BLOCK,
  SUPER_BLOCK_READERS,
} from '../../../../gguf/index.js';
import { KernelMemory } from '../../../../llm/kernels/kernels.js';
import { MatrixInput } from '../../../../llm/model/matrix-input.js';
import { Random } from '../../../../maths/index.js';
import { expectSameBits } from '../same-bits.js';

/** Types of super-blocks that have no mins and that no core multiplies. */
const TYPES = Object.entries(SUPER_BLOCK_READERS)
  .filter(([type, { hasMins }]) => !hasMins && Number(type) > GgmlType.Q6_K)
  .map(([type]) => Number(type) as GgmlType);

const BLOCKS = 3;

/** Rows of a type made of any bytes; d of each block is finite. */
function randomRow(type: GgmlType, random: Random): Uint8Array {
  const row = new Uint8Array(BLOCKS * BLOCK_FORMATS[type].blockBytes);
  for (let i = 0; i < row.length; i++) row[i] = random.nextUint32() & 255;
  const block = {
    d: 0,
    dmin: 0,
    scales: new Int8Array(16),
    mins: new Uint8Array(16),
    quants: new Int8Array(256),
  };
  for (let i = 0; i < BLOCKS; i++) {
    SUPER_BLOCK_READERS[type]!.unpack(row, i * BLOCK_FORMATS[type].blockBytes, block);
    if (!Number.isFinite(block.d)) return randomRow(type, random);
  }
  return row;
}

/** The same in plain TypeScript: exact sums of products, then float32 rounded at each step, block after block. */
function plainProduct(type: GgmlType, row: Uint8Array, column: Uint8Array): number {
  const { blockBytes } = BLOCK_FORMATS[type];
  const block = {
    d: 0,
    dmin: 0,
    scales: new Int8Array(16),
    mins: new Uint8Array(16),
    quants: new Int8Array(256),
  };
  const view = new DataView(column.buffer, column.byteOffset);
  let result = 0;
  for (let i = 0; i < BLOCKS; i++) {
    SUPER_BLOCK_READERS[type]!.unpack(row, i * blockBytes, block);
    let sum = 0;
    for (let j = 0; j < SUPER_BLOCK; j++)
      sum += block.scales[j >> 4] * block.quants[j] * view.getInt8(i * Q8K_BYTES + 4 + j);
    const d = Math.fround(block.d * view.getFloat32(i * Q8K_BYTES, true));
    result = Math.fround(result + Math.fround(Math.fround(sum) * d));
  }
  return result;
}

describe.each(TYPES)('rows of type %s', (type) => {
  it(`(${BLOCK_FORMATS[type].name}) times columns have the bits of the plain form, whatever the bytes`, () => {
    const random = new Random(type);
    const columns = 3;
    const values = BLOCKS * SUPER_BLOCK;
    const memory = new KernelMemory(4 * columns * values + MatrixInput.bytes(values, columns));
    const floats = memory.floats(columns * values);
    const input = new MatrixInput(memory, values, columns);
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < floats.length; i++) floats[i] = (random.nextDouble() * 2 - 1) * 10 ** (round % 5);
      const row = randomRow(type, random);
      const n = 1 + (round % columns);
      input.set(floats, n, values, false);
      const results = input.multiplySuper(type, row, values, n).slice(0, n);
      const { blocks } = input;
      const expected = Float32Array.from({ length: n }, (_, column) =>
        plainProduct(type, row, blocks.subarray(column * BLOCKS * Q8K_BYTES)),
      );
      expectSameBits(results, expected);
    }
  });
});

it('types take turns on one input, each with its own points', () => {
  const random = new Random(9);
  const values = BLOCKS * SUPER_BLOCK;
  const memory = new KernelMemory(4 * values + MatrixInput.bytes(values, 1));
  const floats = memory.floats(values);
  for (let i = 0; i < values; i++) floats[i] = random.nextDouble() - 0.5;
  const input = new MatrixInput(memory, values, 1);
  input.set(floats, 1, values, false);
  const rows = TYPES.map((type) => [type, randomRow(type, random)] as const);
  const products = () => rows.map(([type, row]) => input.multiplySuper(type, row, values, 1)[0]);
  const expected = rows.map(([type, row]) => plainProduct(type, row, input.blocks));
  expect(products()).toEqual(expected);
  expect(products()).toEqual(expected);
  expect(TYPES.filter((type) => gridOf(type) !== undefined)).toHaveLength(7);
});
