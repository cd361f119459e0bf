import type { Accelerator, MatMulProgram } from '../../driver/index.js';
import { SUPER_BLOCK } from '../../gguf/index.js';
import { CoreGroup, type CoreMember } from './core-group.js';
import type { CpuWork } from './cost.js';
import type { CpuMatrix } from './cpu-matrix.js';
import type { CpuRows, CpuRowsMemory } from './cpu-rows.js';
import type { MatrixInput } from './matrix-input.js';

/** Where one matrix is computed. */
export type PlacedMatrix =
  | {
      readonly program: MatMulProgram;
      /** Parts of each of its rows, one behind the other, which meet the same input. */
      readonly parts: 1 | 2;
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

/** Matrices with one input, wherever they are. */
export type MatrixGroup = Pick<LinearGroup, 'columns' | 'coreCycles' | 'blocksAddress' | 'multiply'>;

/**
 * Matrices that are multiplied with the same input (Q, K and V; gate and up), each into an output of its own. What the
 * core computes shares one quantised input; the rest goes to the CPU kernels. Outputs are fixed at construction, so that
 * a step allocates nothing.
 */
export class LinearGroup {
  /** Values of one input column. */
  readonly columns: number;
  /** What the core computes, by parts of a row. */
  readonly #core: readonly CoreGroup[];
  readonly #matrices: CpuMatrix[] = [];
  readonly #matrixOutputs: Float32Array[] = [];
  readonly #biased: { readonly bias: Float32Array; readonly output: Float32Array }[] = [];
  readonly #input: MatrixInput;
  readonly #cpuWork: CpuWork;

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
    this.#input = shared.input;
    this.#cpuWork = shared.cpuWork;
    const onCore: { readonly [parts in 1 | 2]: CoreMember[] } = { 1: [], 2: [] };
    for (const member of members) {
      const { bias, output } = member;
      if (bias !== undefined) this.#biased.push({ bias, output });
      if ('program' in member) {
        onCore[member.parts].push({ program: member.program, rest: member.rest, output });
      } else {
        this.#matrices.push(member.matrix);
        this.#matrixOutputs.push(output);
      }
    }
    const { accelerator, rows } = shared;
    this.#core = ([1, 2] as const)
      .filter((parts) => accelerator !== undefined && onCore[parts].length > 0)
      .map((parts) => new CoreGroup(parts, onCore[parts], { ...shared, accelerator: accelerator!, rows }));
  }

  /** Core cycles of `n` columns, in the board's timing; what the CPU computes costs none. */
  coreCycles(n: number): number {
    return this.#core.reduce((sum, group) => sum + group.cycles(n), 0);
  }

  /**
   * Where whoever makes the next input is to leave it as Q8_K; 0 where the core has no part in the group, or where columns are to be
   * padded first.
   */
  get blocksAddress(): number {
    return this.#core.length === 0 || this.columns % SUPER_BLOCK !== 0 ? 0 : this.#input.blocksAddress;
  }

  /**
   * Multiplies with the first `n` columns of `input`, columns one after another in kernel memory.
   * @param hasBlocks whether they lie at {@link blocksAddress} too
   * @throws PynqLlmError DRIVER_*
   */
  multiply(input: Float32Array, n: number, hasBlocks = false): void {
    this.#input.set(input, n, this.columns, hasBlocks);
    for (let i = 0; i < this.#core.length; i++) this.#core[i].multiply(n);
    for (let i = 0; i < this.#matrices.length; i++) {
      const matrix = this.#matrices[i];
      matrix.multiply(this.#input, n, this.#matrixOutputs[i]);
      this.#cpuWork.multiplyAdds += n * matrix.rows * matrix.columns;
    }
    for (let i = 0; i < this.#biased.length; i++) addBias(this.#biased[i].output, this.#biased[i].bias, n);
  }
}

/** Adds `bias` to each of the first `n` rows of its length. */
function addBias(rows: Float32Array, bias: Float32Array, n: number): void {
  const { length } = bias;
  for (let row = 0, at = 0; row < n; row++) for (let i = 0; i < length; i++) rows[at++] += bias[i];
}
