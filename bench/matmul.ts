import { loadBoardDescription } from '../board/index.js';
import { Accelerator } from '../driver/index.js';
import { CORE_BLOCK_BYTES, type CoreType, ggmlTypeOf, multiplyBlockRow, quantizeQ8K } from '../gguf/index.js';
import { openMockBoard } from '../mock-device/index.js';
import { cpuMs } from './cpu-time.js';
import { type BenchOptions, type BenchRow, row } from './row.js';

const ROWS = 2048;
const K = 2048;
const COLUMNS = [1, 2, 4, 8, 16];

/**
 * The mock's MatMul through driver, registers and DMA on one thread, resident weights of 2048 x 2048, in multiply-adds a second
 * of CPU time: the best of several rounds, which other work on the machine disturbed least. Baseline: the plain TypeScript of the
 * same arithmetic (gguf/multiply-block-row.ts), of a few rows, in the same run and as warm.
 */
export function benchMatMul({ quick, onNote }: BenchOptions): BenchRow[] {
  const board = openMockBoard(loadBoardDescription('pynq-z1'));
  const accelerator = new Accelerator(board);
  const rows: BenchRow[] = [];
  try {
    for (const type of [2, 3, 4, 5, 6] as const) {
      onNote(`matmul Q${type}_K`);
      rows.push(...benchType(accelerator, type, quick ? 3 : 25));
    }
  } finally {
    accelerator.close();
    board.close();
  }
  return rows;
}

function benchType(accelerator: Accelerator, type: CoreType, runs: number): BenchRow[] {
  const kb = K / 256;
  const weights = plausibleWeights(type, ROWS * kb);
  const rowBytes = kb * CORE_BLOCK_BYTES[type];
  const program = accelerator.load(
    {
      name: `bench Q${type}_K`,
      type: ggmlTypeOf(type),
      rows: ROWS,
      columns: K,
      readRows: (first, count, into) =>
        into.set(weights.subarray(first * rowBytes, (first + count) * rowBytes)),
    },
    'resident',
  );
  const most = Math.max(...COLUMNS);
  const inputs = plausibleInputs(most);
  const output = new Float32Array(most * ROWS);
  const baseline = referenceRate(type, weights, inputs);
  const result = COLUMNS.map((n) => {
    const blocks = inputs.subarray(0, n * kb * 292);
    const times = Math.ceil(32 / n);
    const seconds = fastest(runs + 2, () => {
      for (let i = 0; i < times; i++)
        accelerator.multiply([program], n, (into) => into.set(blocks), [output]);
    });
    return row(`matmul Q${type}_K N=${n}`, (ROWS * K * n * times) / seconds, 'multiply-adds/s', baseline);
  });
  accelerator.unload(program);
  return result;
}

function referenceRate(type: CoreType, weights: Uint8Array, inputs: Uint8Array): number {
  const kb = K / 256;
  const some = 64;
  const seconds = fastest(5, () => {
    for (let m = 0; m < some; m++)
      multiplyBlockRow(type, weights, m * kb * CORE_BLOCK_BYTES[type], inputs, 0, kb);
  });
  return (some * K) / seconds;
}

/** Seconds of CPU time that the fastest of several runs takes. */
function fastest(runs: number, work: () => void): number {
  const milliseconds = Array.from({ length: runs }, () => {
    const started = cpuMs();
    work();
    return cpuMs() - started;
  });
  return Math.min(...milliseconds) / 1000;
}

/** Random bits with d and dmin of normal size: the values do not matter for the speed, NaN would be unfair to neither. */
function plausibleWeights(type: CoreType, blocks: number): Uint8Array {
  const bytes = new Uint8Array(blocks * CORE_BLOCK_BYTES[type]);
  let state = 1;
  for (let i = 0; i < bytes.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

function plausibleInputs(n: number): Uint8Array {
  const kb = K / 256;
  const values = Float32Array.from({ length: n * K }, (_, i) => Math.sqrt((i * 7919) % 1013) - 16);
  const blocks = new Uint8Array(n * kb * 292);
  quantizeQ8K(values, 0, values.length, blocks, 0);
  return blocks;
}
