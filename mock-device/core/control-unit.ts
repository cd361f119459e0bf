import type { CoreRevision } from '../../board/index.js';
import type { Clock } from '../clock.js';
import type { InputLane } from '../stream-lanes.js';
import {
  CONFIG,
  type KnownPart,
  LAST_STEP,
  LOAD_STEP,
  LOAD_WGT,
  LOADS,
  partsOf,
  SOFT_MAX,
  STORE_JUNK,
} from './opcode.js';
import type { CoreTiming } from './timing.js';

/** Does what can be done now; false when it must wait for words, time or the start of a COMPUTE. */
export type Phase = () => boolean;

/** What an instruction lacks, for the diagnosis of a timeout. */
export interface Missing {
  readonly lane: number;
  readonly what: string;
}

/** What carries out the parts of instructions. */
export interface Executor {
  /** The operands of a part are there: does it, and names the next phase or stops. */
  execute(part: KnownPart, operands: readonly number[]): boolean;
  /** A COMPUTE was issued and has not started: kb, type and steps stay as they are. */
  isScheduled(): boolean;
  /** A SOFT_MAX shares its opcode word with other parts: the core stops. */
  mixedSoftmax(): boolean;
  /** STORE with all of bits 0 to 3: a word without meaning on lanes B to D, at a cycle. */
  storeJunk(at: number): void;
}

/**
 * The control unit: fetches opcodes and operands from lane A, however they are split over transfers, and goes through an
 * instruction's steps. Its time may be ahead of the clock within an instruction, but not beyond it.
 */
export class ControlUnit {
  /** Cycle that the control unit, or the load unit for it, has come to. */
  time = 0;
  /** What the instruction at hand waits for. */
  missing: Missing | undefined;
  /** Cycle from which it may issue the next COMPUTE or change kb and type. */
  scheduleFree = 0;
  #phase: Phase;
  /** What follows `waiting`. */
  #afterWaiting: Phase;
  /** The instruction at hand: its opcode, the step it is in, the parts not yet begun, the part at hand and its operands. */
  #opcode = 0;
  #step = 0;
  #partsLeft = 0;
  #part: KnownPart;
  readonly #operands = [0, 0, 0, 0, 0, 0];
  #operandsTaken = 0;
  #running = false;
  /** The parts that the revision has, and the bits of all of them. */
  readonly #parts: readonly KnownPart[];
  readonly #knownParts: number;
  readonly #clock: Clock;
  readonly #lane: InputLane;
  readonly #timing: CoreTiming;
  readonly #executor: Executor;

  constructor(revision: CoreRevision, clock: Clock, lane: InputLane, timing: CoreTiming, executor: Executor) {
    this.#parts = partsOf(revision);
    [this.#part] = this.#parts;
    this.#knownParts = this.#parts.reduce((bits, { bit }) => bits | bit, 0);
    this.#clock = clock;
    this.#lane = lane;
    this.#timing = timing;
    this.#executor = executor;
    this.#phase = this.#fetch;
    this.#afterWaiting = this.#fetch;
  }

  /** No instruction is at hand. */
  get isFetching(): boolean {
    return this.#phase === this.#fetch;
  }

  /** The part of an instruction at hand. */
  get part(): KnownPart {
    return this.#part;
  }

  /** Goes as far as words and time allow. */
  advance(): void {
    if (this.#running) return;
    this.#running = true;
    while (this.#phase());
    this.#running = false;
  }

  /** Goes on with `next`. */
  become(next: Phase): true {
    this.#phase = next;
    return true;
  }

  /** Goes on with `next` when the clock has caught up with the core's time. */
  whenReached(next: Phase): true {
    this.#afterWaiting = next;
    this.#phase = this.#waiting;
    if (this.#clock.now < this.time) this.#clock.at(this.time, this.#wake);
    return true;
  }

  readonly #waiting: Phase = () => {
    if (this.#clock.now < this.time) return false;
    this.#phase = this.#afterWaiting;
    return true;
  };

  readonly #wake = (): void => {
    if (this.#phase === this.#waiting) this.advance();
  };

  readonly #fetch: Phase = () => {
    const lane = this.#lane;
    if (lane.available === 0) return false;
    this.time = Math.max(this.time, lane.arrival(0));
    return this.whenReached(this.#decode);
  };

  readonly #decode: Phase = () => {
    const lane = this.#lane;
    const opcode = lane.peek(0);
    if (opcode === undefined) {
      // A DMA reset took the word back.
      this.#phase = this.#fetch;
      return true;
    }
    lane.take(1, this.time);
    this.#timing.control.enter(2, this.time);
    this.time += 1;
    this.#opcode = opcode;
    this.#step = 0;
    this.#partsLeft = opcode & this.#knownParts;
    if ((this.#partsLeft & SOFT_MAX) !== 0 && this.#partsLeft !== SOFT_MAX)
      return this.#executor.mixedSoftmax();
    return this.nextPart();
  };

  /** Begins the next of the parts still to do. */
  readonly nextPart = (): true => {
    if (this.#partsLeft === 0) {
      this.#goToStep(LAST_STEP);
      this.#timing.control.enter(6, this.time);
      this.#timing.control.enter(1, this.time + 1);
      this.time += 1;
      this.#phase = this.#fetch;
      return true;
    }
    let next = 0;
    while ((this.#partsLeft & this.#parts[next].bit) === 0) next++;
    const part = this.#parts[next];
    this.#goToStep(part.step);
    this.#partsLeft &= ~part.bit;
    if (part.bit === CONFIG) this.#timing.control.enter(3, this.time);
    if (part.bit === LOAD_WGT) this.time += 1;
    this.#part = part;
    this.#operandsTaken = 0;
    this.#phase = this.#takeOperands;
    return true;
  };

  /** The control unit pauses a cycle between steps, and hands the second of them to the load unit. */
  #goToStep(step: number): void {
    const loads = (this.#opcode & LOADS) !== 0;
    while (this.#step < step) {
      if (this.#step === LOAD_STEP && loads) {
        // Without weights the load unit pauses where they would be.
        if ((this.#opcode & LOAD_WGT) === 0) this.time += 1;
        if ((this.#opcode & STORE_JUNK) === STORE_JUNK) this.#executor.storeJunk(this.time + 1);
        this.time = this.#timing.endLoads(this.time);
      }
      this.time += 1;
      this.#step += 1;
      if (this.#step === LOAD_STEP && loads) this.time = this.#timing.beginLoads(this.time);
    }
  }

  /** Gathers operand words from lane A, however they are split over transfers. */
  readonly #takeOperands: Phase = () => {
    const lane = this.#lane;
    const part = this.#part;
    if ((part.bit & (LOADS | SOFT_MAX)) === 0) {
      // kb, type and steps of a COMPUTE that has not started stay as they are.
      if (this.#executor.isScheduled()) return false;
      this.time = Math.max(this.time, this.scheduleFree);
    }
    const operands = this.#operands;
    const count = part.operands;
    const come = Math.min(count - this.#operandsTaken, lane.available);
    for (let i = 0; i < come; i++) operands[this.#operandsTaken++] = lane.peek(i) ?? 0;
    if (come > 0) {
      this.time = Math.max(this.time, lane.arrival(come - 1));
      lane.take(come, this.time);
    }
    if (this.#operandsTaken < count) {
      const lacking = count - this.#operandsTaken;
      this.missing = { lane: 0, what: `${part.name} lacks ${lacking} of its operands` };
      return false;
    }
    this.missing = undefined;
    return this.#executor.execute(part, operands);
  };
}
