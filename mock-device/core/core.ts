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
import { ControlUnit, type Phase } from './control-unit.js';
import { LoadUnit } from './load-unit.js';
import { CONFIG, type KnownPart, LOAD_INP, LOAD_WGT, SOFT_MAX } from './opcode.js';
import { isSecondPass, SOFTMAX_ELEMENTS, SoftmaxUnit } from './softmax-unit.js';
import { SynthesisedTiming } from './synthesised-timing.js';
import { CoreTiming, type StoppedAt } from './timing.js';

/** Results of one COMPUTE that the mock has room for: those of the largest tile. */
const MOST_RESULTS = 1024 * 512;

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
 * The control unit reads instructions, and it or the load unit works, never both; the computation runs beside them.
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
  readonly #control: ControlUnit;
  readonly #builtTypes: readonly CoreType[];
  /** Words of each lane that the LOAD_WGT at hand announces. */
  readonly #announced: number[] = [];
  /** An instruction lost words or room to a DMA reset: the next words are not what it takes them for. */
  #interrupted = false;
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
    this.#builtTypes = CORE_TYPES.filter((type) => description.weightTypes.includes(type));
    this.#control = new ControlUnit(description.revision, clock, inputs[0], this.#timing, {
      execute: (part, operands) => this.#execute(part, operands),
      isScheduled: () => this.#compute.isScheduled,
      mixedSoftmax: () =>
        this.#stop('hazard', 'start-handshake', 'a SOFT_MAX is not alone in its opcode word'),
      storeJunk: (at) => this.#storeJunk(at),
    });
    for (const lane of inputs) lane.onWords = () => this.#arrived();
    for (const lane of outputs) lane.clear();
    outputs[0].onRoom = () => {
      this.#compute.roomMade();
      this.#control.advance();
    };
  }

  /** Memory that loaded words may lie in is about to change. */
  keep(start: number, end: number): void {
    this.#load.keep(start, end);
    this.#softmax.keep(start, end);
  }

  /** A lane's DMA engine was reset. */
  laneReset(): void {
    if (this.#control.missing !== undefined || this.#compute.isBusy) this.#interrupted = true;
  }

  /** Names what the core waits for if it waits for words that no transfer brings; undefined where all is well. */
  starving(isSending: (lane: number) => boolean): string | undefined {
    const { missing } = this.#control;
    if (missing !== undefined) return isSending(missing.lane) ? undefined : missing.what;
    const lane = this.#around.inputs.findIndex(({ available }) => available > 0);
    return lane > 0 && this.#control.isFetching
      ? `lane ${laneName(lane)} has words that no instruction asked for`
      : undefined;
  }

  #arrived(): void {
    if (this.#interrupted) {
      this.#interrupted = false;
      this.#swallow('an instruction was cut by a DMA reset: the words after it are taken for its data');
    }
    this.#control.advance();
  }

  #execute(part: KnownPart, operands: readonly number[]): boolean {
    switch (part.bit) {
      case CONFIG:
        return this.#config(operands);
      case LOAD_INP:
        return this.#loadInputs(operands);
      case LOAD_WGT:
        return this.#loadWeights(operands);
      case SOFT_MAX:
        return this.#softMax(operands);
      default:
        return this.#issue(operands);
    }
  }

  #config([kb, , , type]: readonly number[]): true {
    if (type !== this.#type && this.#compute.readsTypeAfter(this.#control.time))
      return this.#hazard('a CONFIG with another type');
    this.#kb = kb;
    this.#type = type;
    this.#control.time += 1;
    return this.#control.nextPart();
  }

  #loadInputs([blocks]: readonly number[]): true {
    const { inputBlocks } = this.#around.description.capacity;
    if (blocks > inputBlocks)
      return this.#exceeded(
        'inputs',
        `LOAD_INP brings ${blocks} super-blocks, the core holds ${inputBlocks}`,
      );
    this.#load.beginInputs(this.#control.time, blocks);
    return this.#control.become(this.#takeWords);
  }

  #loadWeights(operands: readonly number[]): true {
    const { description, inputs, faults } = this.#around;
    const [blocks, wordsPerBlock] = operands;
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
      this.#announced[lane] = isV1 ? blocks * wordsPerBlock : operands[2 + lane];
    this.#load.beginWeights(this.#control.time, blocks, this.#announced, this.#type, this.#knownType());
    return this.#control.become(this.#takeWords);
  }

  /** Takes the words of a load and goes on when the last is taken. */
  readonly #takeWords: Phase = () => {
    const lacking = this.#load.take();
    if (this.#compute.isOvertaken()) return this.#hazard('a load');
    if (lacking !== undefined) {
      const { lane, words } = lacking;
      this.#control.missing = {
        lane,
        what: `${this.#control.part.name} lacks ${words} words on lane ${laneName(lane)}`,
      };
      return false;
    }
    this.#control.missing = undefined;
    this.#control.time = this.#load.finish();
    this.#compute.loaded();
    return this.#control.whenReached(this.#loaded);
  };

  readonly #loaded: Phase = () => {
    this.#control.time = this.#load.settle(this.#control.time);
    return this.#control.nextPart();
  };

  #softMax(operands: readonly number[]): true {
    const [count, , , flags] = operands;
    if (count > SOFTMAX_ELEMENTS)
      return this.#exceeded('softmax', `SOFT_MAX of ${count} elements; the unit holds ${SOFTMAX_ELEMENTS}`);
    if (isSecondPass(flags) && this.#compute.isBusy)
      return this.#stop('hazard', 'start-handshake', 'results of a SOFT_MAX overtook those of a COMPUTE');
    this.#control.time += 1;
    this.#timing.beginSoftmax(this.#control.time);
    this.#softmax.begin(this.#control.time, operands);
    return this.#control.become(this.#takeTile);
  }

  /** Takes the words of a SOFT_MAX and goes on when its passes over them are over. */
  readonly #takeTile: Phase = () => {
    const lacking = this.#softmax.take();
    if (lacking > 0) {
      this.#control.missing = { lane: 0, what: `SOFT_MAX lacks ${lacking} words on lane A` };
      return false;
    }
    this.#control.missing = undefined;
    this.#control.time = this.#softmax.finish();
    return this.#control.whenReached(this.#sendTile);
  };

  readonly #sendTile: Phase = () => {
    this.#control.time = Math.max(this.#control.time, this.#around.clock.now);
    if (!this.#send(this.#softmax.results, this.#control.time)) return false;
    this.#timing.endSoftmax(this.#control.time);
    return this.#control.nextPart();
  };

  #issue([, , rows, columns]: readonly number[]): true {
    this.#timing.control.enter(5, this.#control.time);
    this.#compute.issue(this.#control.time, { rows, columns });
    this.#control.time += 1;
    return this.#control.nextPart();
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
    this.#control.scheduleFree = free;
    this.#control.advance();
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

  /** STORE has no effect but on v3 together with all of bits 0 to 3. */
  #storeJunk(at: number): void {
    for (const lane of this.#around.outputs.slice(1)) lane.send(CORE_AREA.scratch, 4, false, at);
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
    this.#control.missing = undefined;
    return this.#control.become(() => false);
  }

  /** All further words of lane A are taken for data. */
  #swallow(detail?: string): true {
    this.#stop('stream-desynchronised', 'weights', detail);
    const [lane] = this.#around.inputs;
    return this.#control.become(() => {
      const { available } = lane;
      if (available > 0) lane.take(available, lane.arrival(available - 1));
      return false;
    });
  }
}

function laneName(lane: number): string {
  return 'ABCD'[lane];
}
