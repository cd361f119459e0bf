import { PynqLlmError } from '../../errors/index.js';
import { again, isDeviceFault, type StepFaults } from '../model/forward-again.js';
import type { MatrixGroup } from '../model/linear-group.js';

/** What of a group's input or output comes from other boards. */
export interface MemberGroupOptions {
  /**
   * Makes of the own values of `n` input columns those of all boards.
   * @param hasBlocks whether the own ones lie at `blocksAddress` as Q8_K
   * @returns the input of the group, and whether it lies at its `blocksAddress` as Q8_K
   */
  readonly gatherInput?:
    | ((
        own: Float32Array,
        n: number,
        hasBlocks: boolean,
      ) => readonly [input: Float32Array, hasBlocks: boolean])
    | undefined;
  /** Where whoever makes the own input is to leave it as Q8_K; the group's own place unless given. */
  readonly blocksAddress?: number | undefined;
  /** Takes the own results of `n` columns to others, and theirs here. */
  readonly gatherOutput?: ((n: number) => void) | undefined;
}

/**
 * Matrices of which this board has some rows. Who multiplies sees matrices with all of them.
 *
 * A device that fails is tried once more here, at the matrix and not at the step, whose exchanges cannot be taken back: the input is
 * still there, so the bits are the same.
 */
export class MemberGroup implements MatrixGroup {
  readonly columns: number;
  readonly #group: MatrixGroup;
  readonly #options: MemberGroupOptions;
  readonly #faults: StepFaults;

  constructor(group: MatrixGroup, options: MemberGroupOptions, faults: StepFaults) {
    this.columns = group.columns;
    this.#group = group;
    this.#options = options;
    this.#faults = faults;
  }

  coreCycles(n: number): number {
    return this.#group.coreCycles(n);
  }

  get blocksAddress(): number {
    return this.#options.blocksAddress ?? this.#group.blocksAddress;
  }

  /** @throws PynqLlmError FLEET_TENSOR_* */
  multiply(own: Float32Array, n: number, hasOwnBlocks = false): void {
    const { gatherInput, gatherOutput } = this.#options;
    const [input, hasBlocks] = gatherInput?.(own, n, hasOwnBlocks) ?? [own, hasOwnBlocks];
    this.#multiplyAgain(input, n, hasBlocks);
    gatherOutput?.(n);
  }

  #multiplyAgain(input: Float32Array, n: number, hasBlocks: boolean): void {
    try {
      again(() => this.#group.multiply(input, n, hasBlocks), this.#faults);
    } catch (cause) {
      if (!isDeviceFault(cause)) throw cause;
      throw new PynqLlmError('FLEET_TENSOR_DEVICE', 'The device has failed twice at the same matrix.', {
        cause,
      });
    }
  }
}
