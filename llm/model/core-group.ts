import type { Accelerator, MatMulProgram } from '../../driver/index.js';
import type { CpuWork } from './cost.js';
import type { CpuRows, CpuRowsMemory } from './cpu-rows.js';
import type { MatrixInput } from './matrix-input.js';

/** A matrix on the core, with room for its results. */
export interface CoreMember {
  readonly program: MatMulProgram;
  /** The matrix's last rows, where the CPU computes them meanwhile. */
  readonly rest: CpuRows | undefined;
  /** Of n columns: result m of column n at n * rows + m. */
  readonly output: Float32Array;
}

/** What the groups of a model share. */
export interface CoreShared {
  readonly accelerator: Accelerator;
  readonly input: MatrixInput;
  readonly cpuWork: CpuWork;
  /** Where the rests of members are. */
  readonly rows: CpuRowsMemory | undefined;
}

/** Matrices that the core multiplies with one input together: those with as many parts in their rows. */
export class CoreGroup {
  readonly #shared: CoreShared;
  readonly #programs: readonly MatMulProgram[];
  readonly #outputs: readonly Float32Array[];
  /** Of programs that have not all rows of their matrix, the rest. */
  readonly #rests: readonly CpuRows[];
  readonly #restOf: readonly (CpuRows | undefined)[];
  readonly #fill: (blocks: Uint8Array) => void;

  /** @param parts of each row */
  constructor(parts: number, members: readonly CoreMember[], shared: CoreShared) {
    this.#shared = shared;
    this.#programs = members.map(({ program }) => program);
    this.#outputs = members.map(({ output }) => output);
    this.#restOf = members.map(({ rest }) => rest);
    this.#rests = this.#restOf.filter((rest) => rest !== undefined);
    this.#fill = (blocks) => shared.input.fillBlocks(blocks, parts);
  }

  /** Core cycles of `n` columns, in the board's timing. */
  cycles(n: number): number {
    return this.#shared.accelerator.cycles(this.#programs, n);
  }

  /** Multiplies with the `n` columns of the input. @throws PynqLlmError DRIVER_* */
  multiply(n: number): void {
    const { rows, accelerator } = this.#shared;
    if (rows !== undefined && this.#rests.length > 0) this.#multiplyShared(n, rows);
    else accelerator.multiply(this.#programs, n, this.#fill, this.#outputs);
  }

  /** The core's rows on the core, the others on other threads meanwhile. */
  #multiplyShared(n: number, memory: CpuRowsMemory): void {
    const rests = memory.begin(this.#rests, this.#fill, n);
    // Of one column the core's rows come first in the output; of more, rows of the CPU lie between those of the columns.
    const outputs =
      n === 1 ? this.#outputs : this.#programs.map(({ rows }, i) => memory.coreResults(i, n * rows));
    try {
      this.#shared.accelerator.multiply(this.#programs, n, this.#fill, outputs);
    } finally {
      memory.finish();
    }
    let next = 0;
    for (const [i, rest] of this.#restOf.entries()) {
      const output = this.#outputs[i];
      const { rows } = this.#programs[i];
      const all = rows + (rest?.rows ?? 0);
      for (let column = 0; n > 1 && column < n; column++)
        output.set(outputs[i].subarray(column * rows, (column + 1) * rows), column * all);
      if (rest === undefined) continue;
      const results = rests[next++];
      for (let column = 0; column < n; column++)
        output.set(results.subarray(column * rest.rows, (column + 1) * rest.rows), column * all + rows);
      this.#shared.cpuWork.multiplyAdds += n * rest.rows * rest.columns;
    }
  }
}
