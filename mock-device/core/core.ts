import type { BoardDescription } from '../../board/index.js';
import { CORE_TYPES, type CoreType } from '../../gguf/index.js';
import type { Clock } from '../clock.js';
import { CORE_AREA, type CoreMemory } from '../core-memory.js';
import type { FaultName, FaultPanel } from '../faults.js';
import type { Kernel } from '../kernel.js';
import type { Monitors } from '../monitors.js';
import type { InputLane, OutputLane } from '../stream-lanes.js';
import { Arithmetic } from './arithmetic.js';
import { type Computation, ComputeUnit } from './compute-unit.js';
import { LoadUnit } from './load-unit.js';
import {
  CONFIG,
  type KnownPart,
  LAST_STEP,
  LOAD_INP,
  LOAD_STEP,
  LOAD_WGT,
  LOADS,
  partsOf,
  SOFT_MAX,
  STORE_JUNK,
} from './opcode.js';
import { isSecondPass, SOFTMAX_ELEMENTS, SoftmaxUnit } from './softmax-unit.js';
import { SynthesisedTiming } from './synthesised-timing.js';
import { CoreTiming, type StoppedAt } from './timing.js';

/** Results of one COMPUTE that the mock has room for: those of the largest tile. */
const MOST_RESULTS = 1024 * 512;

/** Does what can be done now; false when it must wait for words, time or the start of a COMPUTE. */
type Phase = () => boolean;

/** What a core works with. */
export interface CoreSurroundings {
  readonly description: BoardDescription;
  readonly clock: Clock;
  readonly monitors: Monitors;
  readonly memory: CoreMemory;
  readonly kernel: Kernel;
  readonly faults: FaultPanel;
  readonly inputs: readonly InputLane[];
  readonly outputs: readonly OutputLane[];
}

/**
 * The core: takes words from its lanes as the instruction stream says, keeps weights and inputs, sends results
 * (manual, "Instruction stream"). One object is one life between power-ups of the logic.
 *
 * This is the control unit with the load unit, of which one works at a time; the computation runs beside them. The
 * control unit's time may be ahead of the clock within an instruction, but not beyond it.
 */
export class Core {
  #kb = 0;
  /** As sent with CONFIG; any number until an instruction uses it. */
  #type = 0;
  readonly #arithmetic: Arithmetic;
  readonly #timing: CoreTiming;
  readonly #load: LoadUnit;
  readonly #compute: ComputeUnit;
  readonly #softmax: SoftmaxUnit;
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
  /** Words of each lane that the LOAD_WGT at hand announces. */
  readonly #announced: number[] = [];
  /** Cycle from which the control unit may issue the next COMPUTE or change kb and type. */
  #scheduleFree = 0;
  readonly #builtTypes: readonly CoreType[];
  /** The parts that the revision has, and the bits of all of them. */
  readonly #parts: readonly KnownPart[];
  readonly #knownParts: number;
  /** Cycle that the control unit, or the load unit for it, has come to. */
  #time = 0;
  /** An instruction lost words or room to a DMA reset: the next words are not what it takes them for. */
  #interrupted = false;
  /** What the instruction at hand waits for, for the diagnosis of a timeout. */
  #missing: { readonly lane: number; readonly what: string } | undefined;
  #running = false;
  readonly #around: CoreSurroundings;

  constructor(around: CoreSurroundings) {
    this.#around = around;
    const { description, clock, monitors, memory, kernel, inputs, outputs } = around;
    this.#arithmetic = new Arithmetic(description, memory, kernel);
    this.#timing =
      description.timing === 'systemc'
        ? new CoreTiming(description.revision, monitors, clock.now)
        : new SynthesisedTiming(description, monitors, clock.now);
    this.#load = new LoadUnit({
      description,
      memory,
      inputs,
      arithmetic: this.#arithmetic,
      timing: this.#timing,
      resumes: (idle) => this.#compute.resumes(idle),
    });
    this.#compute = new ComputeUnit(clock, this.#timing, this.#load, {
      starts: (computation) => this.#starts(computation),
      free: (cycle) => this.#computeStarted(cycle),
      overtaken: () => this.#hazard('a load'),
      results: ({ rows, columns }, stored) => this.#send(rows * columns, stored),
      stuck: (why) => this.#stuck(why),
    });
    this.#softmax = new SoftmaxUnit(memory, inputs);
    this.#parts = partsOf(description.revision);
    [this.#part] = this.#parts;
    this.#knownParts = this.#parts.reduce((bits, { bit }) => bits | bit, 0);
    this.#builtTypes = CORE_TYPES.filter((type) => description.weightTypes.includes(type));
    this.#phase = this.#fetch;
    this.#afterWaiting = this.#fetch;
    for (const lane of inputs) lane.onWords = () => this.#arrived();
    for (const lane of outputs) lane.clear();
    outputs[0].onRoom = () => {
      this.#compute.roomMade();
      this.#advance();
    };
  }

  /** Memory that loaded words may lie in is about to change. */
  keep(start: number, end: number): void {
    this.#load.keep(start, end);
    this.#softmax.keep(start, end);
  }

  /** A lane's DMA engine was reset. */
  laneReset(): void {
    if (this.#missing !== undefined || this.#compute.isBusy) this.#interrupted = true;
  }

  /** Names what the core waits for if it waits for words that no transfer brings; undefined where all is well. */
  starving(isSending: (lane: number) => boolean): string | undefined {
    if (this.#missing !== undefined) return isSending(this.#missing.lane) ? undefined : this.#missing.what;
    const lane = this.#around.inputs.findIndex(({ available }) => available > 0);
    return lane > 0 && this.#phase === this.#fetch
      ? `lane ${laneName(lane)} has words that no instruction asked for`
      : undefined;
  }

  #arrived(): void {
    if (this.#interrupted) {
      this.#interrupted = false;
      this.#swallow('an instruction was cut by a DMA reset: the words after it are taken for its data');
    }
    this.#advance();
  }

  #advance(): void {
    if (this.#running) return;
    this.#running = true;
    while (this.#phase());
    this.#running = false;
  }

  /** Goes on with `next` when the clock has caught up with the core's time. */
  #whenReached(next: Phase): true {
    this.#afterWaiting = next;
    this.#phase = this.#waiting;
    if (this.#around.clock.now < this.#time) this.#around.clock.at(this.#time, this.#wake);
    return true;
  }

  readonly #waiting: Phase = () => {
    if (this.#around.clock.now < this.#time) return false;
    this.#phase = this.#afterWaiting;
    return true;
  };

  readonly #wake = (): void => {
    if (this.#phase === this.#waiting) this.#advance();
  };

  readonly #fetch: Phase = () => {
    const [lane] = this.#around.inputs;
    if (lane.available === 0) return false;
    this.#time = Math.max(this.#time, lane.arrival(0));
    return this.#whenReached(this.#decode);
  };

  readonly #decode: Phase = () => {
    const [lane] = this.#around.inputs;
    const opcode = lane.peek(0);
    if (opcode === undefined) {
      // A DMA reset took the word back.
      this.#phase = this.#fetch;
      return true;
    }
    lane.take(1, this.#time);
    this.#timing.control.enter(2, this.#time);
    this.#time += 1;
    this.#opcode = opcode;
    this.#step = 0;
    this.#partsLeft = opcode & this.#knownParts;
    if ((this.#partsLeft & SOFT_MAX) !== 0 && this.#partsLeft !== SOFT_MAX)
      return this.#stop('hazard', 'start-handshake', 'a SOFT_MAX is not alone in its opcode word');
    return this.#nextPart();
  };

  /** Begins the next of the parts still to do. */
  readonly #nextPart = (): true => {
    if (this.#partsLeft === 0) {
      this.#goToStep(LAST_STEP);
      this.#timing.control.enter(6, this.#time);
      this.#timing.control.enter(1, this.#time + 1);
      this.#time += 1;
      this.#phase = this.#fetch;
      return true;
    }
    let next = 0;
    while ((this.#partsLeft & this.#parts[next].bit) === 0) next++;
    const part = this.#parts[next];
    this.#goToStep(part.step);
    this.#partsLeft &= ~part.bit;
    if (part.bit === CONFIG) this.#timing.control.enter(3, this.#time);
    if (part.bit === LOAD_WGT) this.#time += 1;
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
        if ((this.#opcode & LOAD_WGT) === 0) this.#time += 1;
        this.#storeJunk();
        this.#time = this.#timing.endLoads(this.#time);
      }
      this.#time += 1;
      this.#step += 1;
      if (this.#step === LOAD_STEP && loads) this.#time = this.#timing.beginLoads(this.#time);
    }
  }

  /** Gathers operand words from lane A, however they are split over transfers. */
  readonly #takeOperands: Phase = () => {
    const [lane] = this.#around.inputs;
    const part = this.#part;
    if ((part.bit & (LOADS | SOFT_MAX)) === 0) {
      // kb, type and steps of a COMPUTE that has not started stay as they are.
      if (this.#compute.isScheduled) return false;
      this.#time = Math.max(this.#time, this.#scheduleFree);
    }
    const operands = this.#operands;
    const count = part.operands;
    const come = Math.min(count - this.#operandsTaken, lane.available);
    for (let i = 0; i < come; i++) operands[this.#operandsTaken++] = lane.peek(i) ?? 0;
    if (come > 0) {
      this.#time = Math.max(this.#time, lane.arrival(come - 1));
      lane.take(come, this.#time);
    }
    if (this.#operandsTaken < count) {
      const lacking = count - this.#operandsTaken;
      this.#missing = { lane: 0, what: `${part.name} lacks ${lacking} of its operands` };
      return false;
    }
    this.#missing = undefined;
    switch (part.bit) {
      case CONFIG:
        return this.#config();
      case LOAD_INP:
        return this.#loadInputs();
      case LOAD_WGT:
        return this.#loadWeights();
      case SOFT_MAX:
        return this.#softMax();
      default:
        return this.#issue();
    }
  };

  #config(): true {
    const [kb, , , type] = this.#operands;
    if (type !== this.#type && this.#compute.readsTypeAfter(this.#time))
      return this.#hazard('a CONFIG with another type');
    this.#kb = kb;
    this.#type = type;
    this.#time += 1;
    return this.#nextPart();
  }

  #loadInputs(): true {
    const [blocks] = this.#operands;
    const { inputBlocks } = this.#around.description.capacity;
    if (blocks > inputBlocks)
      return this.#exceeded(
        'inputs',
        `LOAD_INP brings ${blocks} super-blocks, the core holds ${inputBlocks}`,
      );
    this.#load.beginInputs(this.#time, blocks);
    this.#phase = this.#takeWords;
    return true;
  }

  #loadWeights(): true {
    const { description, inputs, faults } = this.#around;
    const [blocks, wordsPerBlock] = this.#operands;
    const { weightBlocks } = description.capacity;
    if (faults.shows('stream-desynchronised')) return this.#swallow();
    if (faults.shows('capacity-exceeded')) return this.#exceeded('weights');
    if (blocks > weightBlocks)
      return this.#exceeded(
        'weights',
        `LOAD_WGT brings ${blocks} super-blocks, the core holds ${weightBlocks}`,
      );
    const isV1 = description.revision === 'v1';
    for (let lane = 0; lane < inputs.length; lane++)
      this.#announced[lane] = isV1 ? blocks * wordsPerBlock : this.#operands[2 + lane];
    this.#load.beginWeights(this.#time, blocks, this.#announced, this.#type, this.#knownType());
    this.#phase = this.#takeWords;
    return true;
  }

  /** Takes the words of a load and goes on when the last is taken. */
  readonly #takeWords: Phase = () => {
    const lacking = this.#load.take();
    if (this.#compute.isOvertaken()) return this.#hazard('a load');
    if (lacking !== undefined) {
      const { lane, words } = lacking;
      this.#missing = { lane, what: `${this.#part.name} lacks ${words} words on lane ${laneName(lane)}` };
      return false;
    }
    this.#missing = undefined;
    this.#time = this.#load.finish();
    this.#compute.loaded();
    return this.#whenReached(this.#loaded);
  };

  readonly #loaded: Phase = () => {
    this.#time = this.#load.settle(this.#time);
    return this.#nextPart();
  };

  #softMax(): true {
    const [count, , , flags] = this.#operands;
    if (count > SOFTMAX_ELEMENTS)
      return this.#exceeded('softmax', `SOFT_MAX of ${count} elements; the unit holds ${SOFTMAX_ELEMENTS}`);
    if (isSecondPass(flags) && this.#compute.isBusy)
      return this.#stop('hazard', 'start-handshake', 'results of a SOFT_MAX overtook those of a COMPUTE');
    this.#time += 1;
    this.#timing.beginSoftmax(this.#time);
    this.#softmax.begin(this.#time, this.#operands);
    this.#phase = this.#takeTile;
    return true;
  }

  /** Takes the words of a SOFT_MAX and goes on when its passes over them are over. */
  readonly #takeTile: Phase = () => {
    const lacking = this.#softmax.take();
    if (lacking > 0) {
      this.#missing = { lane: 0, what: `SOFT_MAX lacks ${lacking} words on lane A` };
      return false;
    }
    this.#missing = undefined;
    this.#time = this.#softmax.finish();
    return this.#whenReached(this.#sendTile);
  };

  readonly #sendTile: Phase = () => {
    this.#time = Math.max(this.#time, this.#around.clock.now);
    if (!this.#send(this.#softmax.results, this.#time)) return false;
    this.#timing.endSoftmax(this.#time);
    return this.#nextPart();
  };

  #issue(): true {
    const [, , rows, columns] = this.#operands;
    this.#timing.control.enter(5, this.#time);
    this.#compute.issue(this.#time, { rows, columns });
    this.#time += 1;
    return this.#nextPart();
  }

  /** A COMPUTE starts: its results are those of what the core holds now. @returns kb, or undefined if the core stops */
  #starts({ rows, columns }: Computation): number | undefined {
    const { description, faults } = this.#around;
    const { weightBlocks, inputBlocks } = description.capacity;
    const kb = this.#kb;
    const results = rows * columns;
    if (faults.shows('core-stuck')) return this.#stuck();
    if (faults.shows('hazard')) {
      this.#stop('hazard', 'start-handshake');
      return undefined;
    }
    if (results > 0 && (rows * kb > weightBlocks || columns * kb > inputBlocks || results > MOST_RESULTS)) {
      this.#exceeded(
        'start-handshake',
        `COMPUTE of ${rows} rows and ${columns} columns of ${kb} super-blocks; the core holds ${weightBlocks} and ${inputBlocks}`,
      );
      return undefined;
    }
    const type = this.#knownType();
    if (type === undefined && results * kb > 0)
      faults.report(
        'unknown-type',
        `COMPUTE of type ${this.#type}, which the bitstream was built without: its results mean nothing`,
      );
    const isGarbage = type === undefined || faults.shows('unknown-type');
    this.#arithmetic.multiply(isGarbage ? undefined : type, kb, rows, columns);
    return kb;
  }

  #computeStarted(free: number): void {
    this.#scheduleFree = free;
    this.#advance();
  }

  /** Sends results that are in their place, the last at `stored`. @returns whether there is room for them */
  #send(results: number, stored: number): boolean {
    const { faults, outputs } = this.#around;
    const [lane] = outputs;
    if (results === 0) return true;
    if (!lane.hasRoomFor(results)) return false;
    const byteLength = results * 4;
    if (faults.shows('result-short')) lane.send(CORE_AREA.outputs, byteLength - 4, true, stored);
    else if (faults.shows('result-long')) lane.send(CORE_AREA.outputs, byteLength + 4, true, stored);
    else lane.send(CORE_AREA.outputs, byteLength, !faults.shows('no-tlast'), stored);
    return true;
  }

  /** STORE has no effect but on v3 together with all of bits 0 to 3: a word without meaning on lanes B to D. */
  #storeJunk(): void {
    if ((this.#opcode & STORE_JUNK) !== STORE_JUNK) return;
    for (const lane of this.#around.outputs.slice(1)) lane.send(CORE_AREA.scratch, 4, false, this.#time + 1);
  }

  #knownType(): CoreType | undefined {
    return this.#builtTypes.includes(this.#type as CoreType) ? (this.#type as CoreType) : undefined;
  }

  #stuck(detail?: string): undefined {
    this.#stop('core-stuck', 'start-handshake', detail);
  }

  #exceeded(where: StoppedAt, detail?: string): true {
    return this.#stop('capacity-exceeded', where, detail);
  }

  /** Loads and a change of type are not held back while a COMPUTE reads: the real core would corrupt its results. */
  #hazard(what: string): true {
    return this.#stop('hazard', 'start-handshake', `${what} overtook a COMPUTE that had yet to read`);
  }

  /** Nothing moves any more; words that come stay where they are. */
  #stop(fault: FaultName, where: StoppedAt, detail?: string): true {
    // Words after a load of wrong lengths may be anything: that load is what went wrong.
    const { badLoad } = this.#load;
    if (detail !== undefined && badLoad !== undefined) this.#around.faults.report('core-stuck', badLoad);
    else if (detail !== undefined) this.#around.faults.report(fault, detail);
    this.#timing.stop(this.#around.clock.now, where);
    this.#compute.stop();
    this.#missing = undefined;
    this.#phase = () => false;
    return true;
  }

  /** All further words of lane A are taken for data. */
  #swallow(detail?: string): true {
    this.#stop('stream-desynchronised', 'weights', detail);
    const [lane] = this.#around.inputs;
    this.#phase = () => {
      const { available } = lane;
      if (available > 0) lane.take(available, lane.arrival(available - 1));
      return false;
    };
    return true;
  }
}

function laneName(lane: number): string {
  return 'ABCD'[lane];
}
