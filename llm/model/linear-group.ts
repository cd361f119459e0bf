import type { Accelerator, MatMulProgram } from '../../driver/index.js';
import type { CpuMatrix } from './cpu-matrix.js';
import type { MatrixInput } from './matrix-input.js';

/** Where one matrix is computed. */
export type PlacedMatrix = { readonly program: MatMulProgram } | { readonly matrix: CpuMatrix };

/** A matrix with room for n * rows results of n columns: result m of column n at n * rows + m. */
export type GroupMember = PlacedMatrix & { readonly output: Float32Array };

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
  readonly #columns: number;
  readonly #accelerator: Accelerator | undefined;
  readonly #programs: MatMulProgram[] = [];
  readonly #programOutputs: Float32Array[] = [];
  readonly #matrices: CpuMatrix[] = [];
  readonly #matrixOutputs: Float32Array[] = [];
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
    },
  ) {
    this.#columns = columns;
    this.#accelerator = shared.accelerator;
    this.#input = shared.input;
    this.#cpuWork = shared.cpuWork;
    for (const member of members) {
      if ('program' in member) {
        this.#programs.push(member.program);
        this.#programOutputs.push(member.output);
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
    this.#input.set(input, n * this.#columns, hasBlocks);
    if (this.#programs.length > 0) {
      this.#accelerator?.multiply(this.#programs, n, this.#fill, this.#programOutputs);
    }
    if (this.#matrices.length === 0) return;
    for (let i = 0; i < this.#matrices.length; i++) {
      const matrix = this.#matrices[i];
      matrix.multiply(this.#input, n, this.#matrixOutputs[i]);
      this.#cpuWork.multiplyAdds += n * matrix.rows * matrix.columns;
    }
  }
}
