import type { Accelerator, MatMulProgram } from '../../driver/index.js';
import type { CpuMatrix } from './cpu-matrix.js';
import type { CpuRows, CpuRowsMemory } from './cpu-rows.js';
import type { MatrixInput } from './matrix-input.js';

/** Where one matrix is computed. */
export type PlacedMatrix =
  | {
      readonly program: MatMulProgram;
      /** The matrix's last rows, where the CPU computes them meanwhile. */
      readonly rest?: CpuRows | undefined;
    }
  | { readonly matrix: CpuMatrix };

/** A matrix with room for n * rows results of n columns: result m of column n at n * rows + m. */
export type GroupMember = PlacedMatrix & {
  readonly output: Float32Array;
  /** What is added to each result; nothing unless given. */
  readonly bias?: Float32Array | undefined;
};

/** Multiply-adds done on the CPU, as a running total. */
export interface CpuWork {
  multiplyAdds: number;
}

/**
 * Matrices that are multiplied with the same input (Q, K and V; gate and up), each into an output of its own. What the
 * core computes shares one quantised input; the rest goes to the CPU kernels. Outputs are fixed at construction, so that
 * a step allocates nothing.
 */
export class LinearGroup {
  /** Values of one input column. */
  readonly columns: number;
  readonly #accelerator: Accelerator | undefined;
  readonly #programs: MatMulProgram[] = [];
  readonly #programOutputs: Float32Array[] = [];
  /** Of programs that have not all rows of their matrix, the rest. */
  readonly #rests: CpuRows[] = [];
  readonly #restOf: (CpuRows | undefined)[] = [];
  readonly #rows: CpuRowsMemory | undefined;
  readonly #matrices: CpuMatrix[] = [];
  readonly #matrixOutputs: Float32Array[] = [];
  readonly #biased: { readonly bias: Float32Array; readonly output: Float32Array }[] = [];
  readonly #input: MatrixInput;
  readonly #cpuWork: CpuWork;
  readonly #fill: (blocks: Uint8Array) => void;

  /**
   * @param columns values of one input column, the same for all matrices
   */
  constructor(
    columns: number,
    members: readonly GroupMember[],
    shared: {
      readonly accelerator: Accelerator | undefined;
      readonly input: MatrixInput;
      readonly cpuWork: CpuWork;
      /** Where the rests of members are. */
      readonly rows?: CpuRowsMemory | undefined;
    },
  ) {
    this.columns = columns;
    this.#accelerator = shared.accelerator;
    this.#input = shared.input;
    this.#cpuWork = shared.cpuWork;
    this.#rows = shared.rows;
    for (const member of members) {
      const { bias, output } = member;
      if (bias !== undefined) this.#biased.push({ bias, output });
      if ('program' in member) {
        this.#programs.push(member.program);
        this.#programOutputs.push(member.output);
        if (member.rest !== undefined) this.#rests.push(member.rest);
        this.#restOf.push(member.rest);
      } else {
        this.#matrices.push(member.matrix);
        this.#matrixOutputs.push(member.output);
      }
    }
    this.#fill = (blocks) => blocks.set(this.#input.blocks);
  }

  /** Core cycles of `n` columns, in the board's timing; what the CPU computes costs none. */
  coreCycles(n: number): number {
    return this.#programs.length === 0 ? 0 : (this.#accelerator?.cycles(this.#programs, n) ?? 0);
  }

  /** Where whoever makes the next input is to leave it as Q8_K; 0 where the core has no part in the group. */
  get blocksAddress(): number {
    return this.#programs.length === 0 ? 0 : this.#input.blocksAddress;
  }

  /**
   * Multiplies with the first `n` columns of `input`, columns one after another in kernel memory.
   * @param hasBlocks whether they lie at {@link blocksAddress} too
   * @throws PynqLlmError DRIVER_*
   */
  multiply(input: Float32Array, n: number, hasBlocks = false): void {
    this.#input.set(input, n * this.columns, hasBlocks);
    if (this.#rests.length > 0) this.#multiplyShared(n);
    else if (this.#programs.length > 0)
      this.#accelerator?.multiply(this.#programs, n, this.#fill, this.#programOutputs);
    for (let i = 0; i < this.#matrices.length; i++) {
      const matrix = this.#matrices[i];
      matrix.multiply(this.#input, n, this.#matrixOutputs[i]);
      this.#cpuWork.multiplyAdds += n * matrix.rows * matrix.columns;
    }
    for (let i = 0; i < this.#biased.length; i++) addBias(this.#biased[i].output, this.#biased[i].bias, n);
  }

  /** The core's rows on the core, the others on other threads meanwhile. */
  #multiplyShared(n: number): void {
    const rests = this.#rows?.begin(this.#rests, this.#input.blocks, n) ?? [];
    // Of one column the core's rows come first in the output; of more, rows of the CPU lie between those of the columns.
    const outputs =
      n === 1 || this.#rows === undefined
        ? this.#programOutputs
        : this.#programs.map(({ rows }, i) => this.#rows!.coreResults(i, n * rows));
    try {
      this.#accelerator?.multiply(this.#programs, n, this.#fill, outputs);
    } finally {
      this.#rows?.finish();
    }
    let next = 0;
    for (const [i, rest] of this.#restOf.entries()) {
      const output = this.#programOutputs[i];
      const { rows } = this.#programs[i];
      const all = rows + (rest?.rows ?? 0);
      for (let column = 0; n > 1 && column < n; column++)
        output.set(outputs[i].subarray(column * rows, (column + 1) * rows), column * all);
      if (rest === undefined) continue;
      const results = rests[next++];
      for (let column = 0; column < n; column++)
        output.set(results.subarray(column * rest.rows, (column + 1) * rest.rows), column * all + rows);
      this.#cpuWork.multiplyAdds += n * rest.rows * rest.columns;
    }
  }
}

/** Adds `bias` to each of the first `n` rows of its length. */
function addBias(rows: Float32Array, bias: Float32Array, n: number): void {
  const { length } = bias;
  for (let row = 0, at = 0; row < n; row++) for (let i = 0; i < length; i++) rows[at++] += bias[i];
}
