import {
  type CoreRevision,
  type RegisterWindow,
  STATUS_REGISTERS,
  statusOffset,
  unitStates,
} from '../board/index.js';

/** Number of the scheduler's status register and its state when it hangs (manual, "Ill-formed streams"). */
const SCHEDULER = 3;
const START_HANDSHAKE = 31;

/** The core's status registers at one moment. */
export class CoreStatus {
  readonly #revision: CoreRevision;

  private constructor(
    revision: CoreRevision,
    /** Values by register number. */
    readonly values: readonly number[],
  ) {
    this.#revision = revision;
  }

  /** Reads all status registers: 8 accesses on v3, 9 on v1. */
  static read(control: RegisterWindow, revision: CoreRevision): CoreStatus {
    return new CoreStatus(
      revision,
      STATUS_REGISTERS[revision].map((_, index) => control.read32(statusOffset(index))),
    );
  }

  get isIdle(): boolean {
    return STATUS_REGISTERS[this.#revision].every(({ idle }, index) => this.values[index] === idle);
  }

  get isStuck(): boolean {
    return this.values[SCHEDULER] === START_HANDSHAKE;
  }

  /** One line a unit that has a meaning, such as `load-unit: weights (4)`. */
  describe(): string[] {
    return STATUS_REGISTERS[this.#revision].flatMap(({ unit, idle }, index) => {
      const value = this.values[index];
      if (unit.startsWith('reserved') && value === idle) return [];
      const state = unitStates(this.#revision, unit)?.[value];
      return [`${unit}: ${state === undefined ? value : `${state} (${value})`}`];
    });
  }
}
