import type { BoardDescription, CoreRevision } from '../../board/index.js';
import { CORE_TYPES, CORE_WORDS, type CoreType, Q8K_BYTES } from '../../gguf/index.js';
import type { Clock } from '../clock.js';
import type { FaultName, FaultPanel } from '../faults.js';
import type { Kernel } from '../kernel.js';
import type { Monitors } from '../monitors.js';
import { CORE_AREA, type PhysicalMemory } from '../physical-memory.js';
import type { InputLane, OutputLane } from '../stream-lanes.js';
import { Arithmetic } from './arithmetic.js';
import { Gather } from './gather.js';
import { CoreTiming } from './timing.js';
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

/** Does what can be done now; false when it must wait for words, room or time. */
type Phase = () => boolean;

interface Part {
  readonly bit: number;
  readonly name: string;
  /** Operand words in the stream. */
  readonly operands: Readonly<Record<CoreRevision, number>>;
}

/** Parts of an instruction, in the order in which they follow the opcode. */
const PARTS: readonly [Part, ...Part[]] = [
  { bit: CONFIG, name: 'CONFIG', operands: { v1: 4, v3: 4, v4: 4 } },
  { bit: LOAD_INP, name: 'LOAD_INP', operands: { v1: 1, v3: 1, v4: 1 } },
  { bit: LOAD_WGT, name: 'LOAD_WGT', operands: { v1: 2, v3: 6, v4: 6 } },
  { bit: COMPUTE, name: 'COMPUTE', operands: { v1: 4, v3: 4, v4: 4 } },
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
 */
export class Core {
  #kb = 0;
  /** As sent with CONFIG; any number until an instruction uses it. */
  #type = 0;
  readonly #arithmetic: Arithmetic;
  readonly #timing: CoreTiming;
  #phase: Phase;
  /** What follows `waiting`. */
  #afterWaiting: Phase;
  /** The instruction at hand: its opcode, the parts not yet begun, the part at hand and that part's operands. */
  #opcode = 0;
  #partsLeft = 0;
  #part = PARTS[0];
  readonly #operands = [0, 0, 0, 0, 0, 0];
  #operandsTaken = 0;
  readonly #gather: Gather;
  readonly #builtTypes: readonly CoreType[];
  /** Cycle up to which the core is occupied by what it has begun. */
  #time = 0;
  #computing = false;
  /** The COMPUTE at hand reads weights and inputs: a load that overtakes it would change its results. */
  #readsBlocks = false;
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
    this.#gather = new Gather(clock, memory, inputs);
    this.#builtTypes = CORE_TYPES.filter((type) => description.weightTypes.includes(type));
    this.#phase = this.#fetch;
    this.#afterWaiting = this.#fetch;
    for (const lane of inputs) lane.onWords = () => this.#arrived();
    outputs[0].onRoom = () => this.#arrived();
  }

  /** Memory that loaded words may lie in is about to change. */
  keep(start: number, end: number): void {
    this.#gather.keep(start, end);
    this.#arithmetic.keep(start, end);
  }

  /** A lane's DMA engine was reset. */
  laneReset(): void {
    if (this.#missing !== undefined || this.#computing) this.#interrupted = true;
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
    } else if (this.#computing) this.#checkHazard();
    this.#advance();
  }

  #advance(): void {
    if (this.#running) return;
    this.#running = true;
    while (this.#phase());
    this.#running = false;
  }

  /** Goes on with `next` when the clock has caught up with the core's time. */
  #whenDone(next: Phase): true {
    this.#afterWaiting = next;
    this.#phase = this.#waiting;
    this.#around.clock.at(this.#time, this.#wake);
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
    const opcode = lane.peek(0);
    if (opcode === undefined) return false;
    this.#time = Math.max(this.#time, this.#around.clock.now);
    lane.take(1, this.#time + 1);
    this.#time += this.#timing.decode(this.#time);
    this.#opcode = opcode;
    this.#partsLeft = opcode & ALL_PARTS;
    return this.#nextPart();
  };

  /** Begins the next of the parts still to do. */
  readonly #nextPart = (): true => {
    for (const part of PARTS) {
      if ((this.#partsLeft & part.bit) === 0) continue;
      this.#partsLeft &= ~part.bit;
      this.#part = part;
      this.#operandsTaken = 0;
      this.#phase = this.#takeOperands;
      return true;
    }
    this.#storeJunk();
    this.#time += this.#timing.end(this.#time);
    this.#phase = this.#fetch;
    return true;
  };

  /** Gathers operand words from lane A, however they are split over transfers. */
  readonly #takeOperands: Phase = () => {
    const [lane] = this.#around.inputs;
    const part = this.#part;
    const operands = this.#operands;
    const count = part.operands[this.#around.description.revision];
    const come = Math.min(count - this.#operandsTaken, lane.available);
    for (let i = 0; i < come; i++) operands[this.#operandsTaken++] = lane.peek(i) ?? 0;
    this.#time = Math.max(this.#time, this.#around.clock.now);
    if (come > 0) lane.take(come, this.#time + come);
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
        return this.#compute();
    }
  };

  #config(): true {
    [this.#kb, , , this.#type] = this.#operands;
    this.#time += this.#timing.config(this.#time);
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
    const timing = this.#timing.inputs(this.#time, blocks);
    this.#gather.begin(this.#time, timing, 1, () => blocks * INPUT_WORDS);
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
    const type = this.#knownType();
    if (type === undefined)
      return this.#stuck(`LOAD_WGT of type ${this.#type}, which the bitstream was built without`);
    const wordsOf = (lane: number): number => blocksOfLane(blocks, lane, inputs.length) * CORE_WORDS[type];
    const v1 = description.revision === 'v1';
    for (let lane = 0; lane < inputs.length; lane++) {
      const announced = v1 ? blocks * wordsPerBlock : this.#operands[2 + lane];
      if (announced !== wordsOf(lane))
        return this.#stuck(
          `LOAD_WGT of ${blocks} blocks announces ${announced} words on lane ${laneName(lane)}; they have ${wordsOf(lane)}`,
        );
    }
    const headerAlone = blocks > 0 && inputs[0].available === 0;
    const timing = this.#timing.weights(this.#time, wordsOf(0), headerAlone);
    this.#gather.begin(this.#time, timing, inputs.length, wordsOf);
    this.#phase = this.#takeWords;
    return true;
  }

  /** Takes the words of a load and goes on when its time is over. */
  readonly #takeWords: Phase = () => {
    const lacking = this.#gather.take();
    if (lacking >= 0) {
      const what = `${this.#part.name} lacks ${this.#gather.lack(lacking)} words on lane ${laneName(lacking)}`;
      this.#missing = { lane: lacking, what };
      return false;
    }
    this.#missing = undefined;
    this.#time = this.#gather.finish();
    const [blocks] = this.#operands;
    const { words } = this.#gather;
    if (this.#part.bit === LOAD_INP) this.#arithmetic.loadInputs(words[0], blocks);
    else this.#arithmetic.loadWeights(words, this.#type as CoreType, blocks);
    return this.#whenDone(this.#nextPart);
  };

  #compute(): true {
    const [, , rows, columns] = this.#operands;
    const { clock, description, faults } = this.#around;
    const { weightBlocks, inputBlocks } = description.capacity;
    const kb = this.#kb;
    if (faults.shows('core-stuck')) return this.#stuck();
    if (faults.shows('hazard')) return this.#stop('hazard', 'start-handshake');
    const type = this.#knownType();
    if (type === undefined)
      return this.#stuck(`COMPUTE of type ${this.#type}, which the bitstream was built without`);
    // With kb = 0 no block is touched, but more rows or columns than blocks are no tile either; zero steps do nothing.
    const tooMany = rows * Math.max(kb, 1) > weightBlocks || columns * Math.max(kb, 1) > inputBlocks;
    if (tooMany && rows * columns > 0)
      return this.#exceeded(
        'start-handshake',
        `COMPUTE of ${rows} rows and ${columns} columns of ${kb} super-blocks; the core holds ${weightBlocks} and ${inputBlocks}`,
      );
    const { cycles, computing } = this.#timing.compute(this.#time, rows * columns * kb);
    this.#time += cycles;
    this.#computing = true;
    this.#readsBlocks = rows * columns * kb > 0;
    this.#whenDone(() => {
      if (rows * columns > 0) {
        if (!this.#around.outputs[0].isReady) {
          if (computing !== undefined) computing.to = Number.POSITIVE_INFINITY;
          return false;
        }
        if (computing !== undefined && computing.to > clock.now) computing.to = clock.now;
        this.#arithmetic.multiply(type, kb, rows, columns);
        this.#sendResults(rows * columns * 4);
      }
      this.#computing = false;
      this.#storeJunk();
      this.#phase = this.#fetch;
      return true;
    });
    this.#checkHazard();
    return true;
  }

  #sendResults(byteLength: number): void {
    const { faults, outputs } = this.#around;
    const [lane] = outputs;
    if (faults.shows('result-short')) lane.send(CORE_AREA.outputs, byteLength - 4, true);
    else if (faults.shows('result-long')) lane.send(CORE_AREA.outputs, byteLength + 4, true);
    else lane.send(CORE_AREA.outputs, byteLength, !faults.shows('no-tlast'));
  }

  /** STORE has no effect but on v3 together with all of bits 0 to 3: a word without meaning on lanes B to D. */
  #storeJunk(): void {
    if ((this.#opcode & STORE_JUNK) !== STORE_JUNK) return;
    for (const lane of this.#around.outputs.slice(1)) lane.send(CORE_AREA.scratch, 4, false);
  }

  /** Loads and a change of type are not held back while a COMPUTE runs: the real core would corrupt its results. */
  #checkHazard(): void {
    if (!this.#readsBlocks) return;
    const [lane] = this.#around.inputs;
    let at = 0;
    let opcode = lane.peek(at);
    while (opcode !== undefined && (opcode & ALL_PARTS) === 0) opcode = lane.peek(++at);
    if (opcode === undefined) return;
    const newType = (opcode & CONFIG) === 0 ? undefined : lane.peek(at + 4);
    if ((opcode & LOADS) === 0 && (newType === undefined || newType === this.#type)) return;
    const what = (opcode & LOADS) === 0 ? 'a CONFIG with another type' : 'a load';
    this.#stop(
      'hazard',
      'start-handshake',
      `${what} reached the core before the results of a COMPUTE were taken`,
    );
  }

  #knownType(): CoreType | undefined {
    return this.#builtTypes.find((built) => built === this.#type);
  }

  #stuck(detail?: string): true {
    return this.#stop('core-stuck', 'start-handshake', detail);
  }

  #exceeded(where: 'inputs' | 'weights' | 'start-handshake', detail?: string): true {
    return this.#stop('capacity-exceeded', where, detail);
  }

  /** Nothing moves any more; words that come stay where they are. */
  #stop(fault: FaultName, where: 'inputs' | 'weights' | 'start-handshake', detail?: string): true {
    if (detail !== undefined) this.#around.faults.report(fault, detail);
    this.#timing.stop(this.#around.clock.now, where);
    this.#computing = false;
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
      if (available > 0) lane.take(available, this.#around.clock.now + available);
      return false;
    };
    return true;
  }
}

function laneName(lane: number): string {
  return 'ABCD'[lane];
}
