import { type BoardDescription, loadBoardDescription } from '../../board/index.js';
import { Accelerator, groupCycles, type MatMulProgram, type TensorShape } from '../../driver/index.js';
import { type FleetModel, type Link, sendMs } from '../../fleet/index.js';
import { GgmlType, quantizeQ8K, quantizeRow, rowBytes, SUPER_BLOCK } from '../../gguf/index.js';
import { Random } from '../../llm/index.js';
import { openMockBoard } from '../../mock-device/index.js';

/** Rows and inputs of the matrix that is multiplied for real. */
const ROWS = 256;
const INPUTS = 2048;
const SEED = 1;

/**
 * A step of one stream with attn_output and ffn_down cut by inputs, whose partial sums a ring adds up: two reductions a layer, each of
 * 2 * (boards - 1) messages of a part of the stream. Inputs are cut in whole super-blocks.
 */
export function ringStepMs(
  { step, memory }: FleetModel,
  board: BoardDescription,
  boards: number,
  link: Link,
): number {
  const cyclesOf = (matrices: readonly TensorShape[]) => groupCycles(board, matrices, 1);
  const ceil = (count: number) => Math.ceil(count / boards);
  const byRows = (matrix: TensorShape) => ({ ...matrix, rows: ceil(matrix.rows) });
  const byInputs = (matrix: TensorShape) => ({
    ...matrix,
    columns: ceil(matrix.columns / SUPER_BLOCK) * SUPER_BLOCK,
  });
  const kvRows = Math.ceil(memory.kvHeads / boards) * memory.headDim;
  let cycles = cyclesOf([byRows(step.output)]);
  for (const { query, always, after } of step.layers) {
    cycles += cyclesOf([...query.map(byRows), ...always.map((matrix) => ({ ...matrix, rows: kvRows }))]);
    for (const group of after)
      cycles += cyclesOf(group.map(group.some(({ name }) => /gate|up/.test(name)) ? byRows : byInputs));
  }
  const message = sendMs(link, (4 * memory.embedding) / boards);
  const reductions = 2 * step.layers.length * 2 * (boards - 1) * message;
  const logits = sendMs(link, (4 * memory.vocabulary * (boards - 1)) / boards);
  return (cycles / board.clockHz) * 1_000 + reductions + logits;
}

/**
 * Multiplies a matrix on the mock whole and cut by inputs, adds the parts in a ring's order, and compares.
 * @returns the share of results with other bits, by the number of parts
 */
export function differingShares(parts: readonly number[]): Record<number, number> {
  const accelerator = new Accelerator(openMockBoard(loadBoardDescription('pynq-z1')));
  try {
    const random = new Random(SEED);
    const rows = Array.from({ length: ROWS }, () => randomRow(random));
    const input = randomRow(random);
    const whole = multiply(accelerator, rows, input, 0, INPUTS);
    return Object.fromEntries(
      parts.map((count) => {
        const length = INPUTS / count;
        const sums = Array.from({ length: count }, (_, i) =>
          multiply(accelerator, rows, input, i * length, length),
        );
        let other = 0;
        for (let row = 0; row < ROWS; row++) {
          // The ring begins each part of the results at another board.
          const first = Math.floor((row * count) / ROWS);
          let sum = sums[first]![row]!;
          for (let i = 1; i < count; i++) sum = Math.fround(sum + sums[(first + i) % count]![row]!);
          if (!Object.is(sum, whole[row])) other++;
        }
        return [count, other / ROWS];
      }),
    );
  } finally {
    accelerator.close();
  }
}

function randomRow(random: Random): Float32Array {
  return Float32Array.from({ length: INPUTS }, () => random.nextDouble() * 2 - 1);
}

/** The inputs from `first` on alone, as a board that holds these columns of the matrix would. */
function multiply(
  accelerator: Accelerator,
  rows: readonly Float32Array[],
  input: Float32Array,
  first: number,
  length: number,
): Float32Array {
  const type = GgmlType.Q3_K;
  const bytes = rowBytes(type, length);
  const packed = new Uint8Array(ROWS * bytes);
  for (const [i, row] of rows.entries())
    quantizeRow(type, row.subarray(first, first + length), packed.subarray(i * bytes, (i + 1) * bytes));
  const program: MatMulProgram = accelerator.load(
    {
      name: 'rows',
      type,
      rows: ROWS,
      columns: length,
      readRows: (from: number, count: number, into: Uint8Array) =>
        into.set(packed.subarray(from * bytes, (from + count) * bytes)),
    },
    'resident',
  );
  const results = new Float32Array(ROWS);
  accelerator.multiply([program], 1, (blocks) => quantizeQ8K(input, first, length, blocks, 0), [results]);
  accelerator.unload(program);
  return results;
}
