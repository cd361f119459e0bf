import type { BoardDescription, CoreRevision } from '../../board/index.js';
import { CORE_TYPES, CORE_WORDS, type CoreType, Q8K_BYTES } from '../../gguf/index.js';
import type { Clock } from '../clock.js';
import type { FaultName, FaultPanel } from '../faults.js';
import type { Kernel } from '../kernel.js';
import type { Monitors } from '../monitors.js';
import { CORE_AREA, type PhysicalMemory } from '../physical-memory.js';
import type { InputLane, OutputLane } from '../stream-lanes.js';
import { Arithmetic } from './arithmetic.js';
import { type Computation, ComputeUnit } from './compute-unit.js';
import { Gather } from './gather.js';
import { Loader } from './loader.js';
import { CoreTiming, type StoppedAt } from './timing.js';
import { blocksOfLane } from './weight-load.js';

/** Opcode bits (manual, "Instruction stream"). */
const CONFIG = 0x10;
const LOAD_INP = 0x01;
const LOAD_WGT = 0x02;
const COMPUTE = 0x04;
const STORE = 0x08;
const LOADS = LOAD_INP | LOAD_WGT;
const ALL_PARTS = CONFIG | LOADS | COMPUTE;
const STORE_JUNK = LOADS | COMPUTE | STORE;

const INPUT_WORDS = Q8K_BYTES / 4;
/** Results of one COMPUTE that the mock has room for: those of the largest tile. */
const MOST_RESULTS = 1024 * 512;

const LOAD_STEP = 1;
const LAST_STEP = 2;

/** Does what can be done now; false when it must wait for words, time or the start of a COMPUTE. */
type Phase = () => boolean;

interface Part {
  readonly bit: number;
  readonly name: string;
  /** Operand words in the stream. */
  readonly operands: Readonly<Record<CoreRevision, number>>;
  /** Parts of the same step follow each other without a pause of the control unit. */
  readonly step: number;
}

/** Parts of an instruction, in the order in which they follow the opcode. */
const PARTS: readonly [Part, ...Part[]] = [
  { bit: CONFIG, name: 'CONFIG', operands: { v1: 4, v3: 4 }, step: 0 },
  { bit: LOAD_INP, name: 'LOAD_INP', operands: { v1: 1, v3: 1 }, step: LOAD_STEP },
  { bit: LOAD_WGT, name: 'LOAD_WGT', operands: { v1: 2, v3: 6 }, step: LOAD_STEP },
  { bit: COMPUTE, name: 'COMPUTE', operands: { v1: 4, v3: 4 }, step: LAST_STEP },
];

/** What a core works with. */
export interface CoreSurroundings {
  readonly description: BoardDescription;
  readonly clock: Clock;
  readonly monitors: Monitors;
  readonly memory: PhysicalMemory;
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
  readonly #compute: ComputeUnit;
  readonly #inputLoader = new Loader();
  readonly #weightLoader = new Loader();
  #phase: Phase;
  /** What follows `waiting`. */
  #afterWaiting: Phase;
  /** The instruction at hand: its opcode, the step it is in, the parts not yet begun, the part at hand and its operands. */
  #opcode = 0;
  #step = 0;
  #partsLeft = 0;
  #part = PARTS[0];
  readonly #operands = [0, 0, 0, 0, 0, 0];
  #operandsTaken = 0;
  /** The weight loader has words left over from a load that announced too many on some lanes: which. */
  #leftOver: string | undefined;
  /** Cycle from which the control unit may issue the next COMPUTE or change kb and type. */
  #scheduleFree = 0;
  readonly #gather: Gather;
  readonly #builtTypes: readonly CoreType[];
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
    this.#timing = new CoreTiming(description.revision, monitors, clock.now);
    this.#compute = new ComputeUnit(clock, this.#timing, [this.#inputLoader, this.#weightLoader], {
      starts: (computation) => this.#starts(computation),
      free: (cycle) => this.#computeStarted(cycle),
      overtaken: () => this.#hazard('a load'),
      results: (computation, stored) => this.#sendResults(computation, stored),
      stuck: (why) => this.#stuck(why),
    });
    this.#gather = new Gather(memory, inputs);
    this.#builtTypes = CORE_TYPES.filter((type) => description.weightTypes.includes(type));
    this.#phase = this.#fetch;
    this.#afterWaiting = this.#fetch;
    for (const lane of inputs) lane.onWords = () => this.#arrived();
    for (const lane of outputs) lane.clear();
    outputs[0].onRoom = () => this.#compute.roomMade();
  }

  /** Memory that loaded words may lie in is about to change. */
  keep(start: number, end: number): void {
    this.#gather.keep(start, end);
    this.#arithmetic.keep(start, end);
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
    this.#partsLeft = opcode & ALL_PARTS;
    return this.#nextPart();
  };

  /** Begins the next of the parts still to do. */
  readonly #nextPart = (): true => {
    const part = PARTS.find(({ bit }) => (this.#partsLeft & bit) !== 0);
    this.#goToStep(part?.step ?? LAST_STEP);
    if (part === undefined) {
      this.#timing.control.enter(6, this.#time);
      this.#timing.control.enter(1, this.#time + 1);
      this.#time += 1;
      this.#phase = this.#fetch;
      return true;
    }
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
    if ((part.bit & LOADS) === 0) {
      // kb, type and steps of a COMPUTE that has not started stay as they are.
      if (this.#compute.isScheduled) return false;
      this.#time = Math.max(this.#time, this.#scheduleFree);
    }
    const operands = this.#operands;
    const count = part.operands[this.#around.description.revision];
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
    const { capacity } = this.#around.description;
    if (blocks > capacity.inputBlocks)
      return this.#exceeded(
        'inputs',
        `LOAD_INP brings ${blocks} super-blocks, the core holds ${capacity.inputBlocks}`,
      );
    const loader = this.#inputLoader;
    const from = loader.begin(this.#time, this.#compute.resumes(loader.idle), blocks, (block) =>
      this.#gather.arrival(0, block * INPUT_WORDS),
    );
    this.#timing.inputs(this.#time, from);
    const late = from - this.#time;
    this.#gather.begin(this.#time, {
      lanes: 1,
      wordsOf: () => blocks * INPUT_WORDS,
      lag: (word) => this.#timing.inputLag(word, late),
    });
    this.#phase = this.#takeWords;
    return true;
  }

  #loadWeights(): true {
    const { description, inputs, faults } = this.#around;
    const [blocks] = this.#operands;
    const { weightBlocks } = description.capacity;
    if (faults.shows('stream-desynchronised')) return this.#swallow();
    if (faults.shows('capacity-exceeded')) return this.#exceeded('weights');
    if (blocks > weightBlocks)
      return this.#exceeded(
        'weights',
        `LOAD_WGT brings ${blocks} super-blocks, the core holds ${weightBlocks}`,
      );
    const loader = this.#weightLoader;
    const lanes = inputs.length;
    const type = this.#knownType();
    const from = loader.begin(
      this.#time,
      this.#compute.resumes(loader.idle),
      type === undefined ? 0 : blocks,
      (block) => this.#writtenAt(block),
    );
    this.#checkLengths(type);
    const dataFrom = this.#timing.weights(this.#time, from);
    this.#gather.begin(dataFrom, {
      lanes,
      wordsOf: (lane) => this.#announced(lane),
      swallow: loader.stuck !== undefined || type === undefined,
    });
    this.#phase = this.#takeWords;
    return true;
  }

  /** When the first fields of a weight block are written: those of a group of blocks together. */
  #writtenAt(block: number): number {
    const type = this.#knownType();
    if (type === undefined) return Number.POSITIVE_INFINITY;
    const { lanes } = this.#around.description.dma;
    const group = Math.floor(block / lanes);
    let written = this.#weightLoader.from;
    for (let lane = 0; lane < Math.min(lanes, this.#operands[0] - group * lanes); lane++)
      written = Math.max(written, this.#gather.arrival(lane, group * CORE_WORDS[type]));
    return written;
  }

  /** Takes the words of a load and goes on when the last is taken. */
  readonly #takeWords: Phase = () => {
    const lacking = this.#gather.take();
    if (this.#compute.isOvertaken()) return this.#hazard('a load');
    if (lacking >= 0) {
      const what = `${this.#part.name} lacks ${this.#gather.lack(lacking)} words on lane ${laneName(lacking)}`;
      this.#missing = { lane: lacking, what };
      return false;
    }
    this.#missing = undefined;
    this.#time = this.#gather.lastAt;
    this.#endLoad();
    this.#compute.loaded();
    return this.#whenReached(this.#loaded);
  };
  /** When the loader that unpacks what came is idle again. */
  #endLoad(): void {
    const [blocks] = this.#operands;
    if (this.#part.bit === LOAD_INP) {
      const idle = this.#timing.endInputs(this.#inputLoader.from, blocks, (word) =>
        this.#gather.arrival(0, word),
      );
      this.#inputLoader.end(idle);
    } else if (this.#weightLoader.stuck === undefined)
      this.#weightLoader.end(this.#timing.endWeights(this.#weightLoader.from, blocks, this.#time));
  }

  readonly #loaded: Phase = () => {
    const [blocks] = this.#operands;
    const { words } = this.#gather;
    if (this.#part.bit === LOAD_INP) {
      this.#arithmetic.loadInputs(words[0], blocks);
      this.#inputLoader.settle();
    } else {
      const type = this.#knownType();
      if (type !== undefined && this.#weightLoader.stuck === undefined)
        this.#arithmetic.loadWeights(words, type, blocks);
      this.#weightLoader.settle();
      this.#time = this.#timing.weightsTaken(this.#time);
    }
    this.#gather.release();
    return this.#nextPart();
  };

  /** Words that the LOAD_WGT at hand announces for a lane. */
  #announced(lane: number): number {
    const [blocks, wordsPerBlock] = this.#operands;
    return this.#around.description.revision === 'v1' ? blocks * wordsPerBlock : this.#operands[2 + lane];
  }

  /**
   * The load unit takes what is announced, the weight loader what the blocks of the present type have: with too few
   * words it waits for ever. Words that are left over it takes for the head of the next load: at once where there are
   * some on every lane, otherwise when that comes.
   */
  #checkLengths(type: CoreType | undefined): void {
    const [blocks] = this.#operands;
    const lanes = this.#around.inputs.length;
    const wordsOf = (lane: number): number =>
      type === undefined ? 0 : blocksOfLane(blocks, lane, lanes) * CORE_WORDS[type];
    const over = this.#around.inputs.map((_, lane) => this.#announced(lane) - wordsOf(lane));
    const lane = over.findIndex((words) => words !== 0);
    if (lane < 0 && this.#leftOver === undefined) return;
    const why =
      type === undefined
        ? `LOAD_WGT of type ${this.#type}, which the bitstream was built without`
        : `LOAD_WGT of ${blocks} blocks announces ${this.#announced(lane)} words on lane ${laneName(lane)}; they have ${wordsOf(lane)}`;
    const leavesNone = over.every((words) => words >= 0) && over.includes(0);
    if (this.#leftOver !== undefined || !leavesNone) this.#weightLoader.stick(this.#leftOver ?? why);
    else this.#leftOver = why;
  }

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

  #sendResults({ rows, columns }: Computation, stored: number): boolean {
    const { faults, outputs } = this.#around;
    const [lane] = outputs;
    const results = rows * columns;
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
    return this.#builtTypes.find((built) => built === this.#type);
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
    if (detail !== undefined) this.#around.faults.report(fault, detail);
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
