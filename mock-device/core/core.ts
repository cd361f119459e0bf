import type { BoardDescription } from '../../driver/board-description.js';
import { CORE_TYPES, CORE_WORDS, type CoreType, Q8K_BYTES } from '../../gguf/types.js';
import type { Clock } from '../clock.js';
import type { FaultName, FaultPanel } from '../faults.js';
import type { Kernel } from '../kernel.js';
import type { Monitors } from '../monitors.js';
import { CORE_AREA, type PhysicalMemory } from '../physical-memory.js';
import type { InputLane, OutputLane } from '../stream-lanes.js';
import { Arithmetic, type LaneWords } from './arithmetic.js';
import { CoreTiming, type LoadTiming } from './timing.js';
import { blocksOfLane } from './weight-load.js';

/** Opcode bits (manual, "Instruction stream"); the parts of an instruction follow in this order. */
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
/** Begins what comes next; it never waits by itself. */
type Step = () => true;

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
  private kb = 0;
  /** As sent with CONFIG; any number until an instruction uses it. */
  private type = 0;
  private readonly arithmetic: Arithmetic;
  private readonly timing: CoreTiming;
  private phase: Phase;
  /** Cycle up to which the core is occupied by what it has begun. */
  private time = 0;
  private computing = false;
  /** The COMPUTE at hand reads weights and inputs: a load that overtakes it would change its results. */
  private readsBlocks = false;
  /** An instruction lost words or room to a DMA reset: the next words are not what it takes them for. */
  private interrupted = false;
  /** What the instruction at hand waits for, for the diagnosis of a timeout. */
  private missing: { readonly lane: number; readonly what: string } | undefined;
  private running = false;

  constructor(private readonly around: CoreSurroundings) {
    const { description, clock, monitors, memory, kernel, inputs, outputs } = around;
    this.arithmetic = new Arithmetic(description, memory, kernel);
    this.timing = new CoreTiming(description.revision, monitors, clock.now);
    this.phase = this.fetch;
    for (const lane of inputs) lane.onWords = () => this.arrived();
    outputs[0].onRoom = () => this.arrived();
  }

  /** Memory that loaded weights may lie in is about to change. */
  keep(start: number, end: number): void {
    this.arithmetic.keep(start, end);
  }

  /** A lane's DMA engine was reset. */
  laneReset(): void {
    if (this.missing !== undefined || this.computing) this.interrupted = true;
  }

  /** Names what the core waits for if it waits for words that no transfer brings; undefined where all is well. */
  starving(isSending: (lane: number) => boolean): string | undefined {
    if (this.missing !== undefined) return isSending(this.missing.lane) ? undefined : this.missing.what;
    const lane = this.around.inputs.findIndex(({ available }) => available > 0);
    return lane > 0 && this.phase === this.fetch
      ? `lane ${laneName(lane)} has words that no instruction asked for`
      : undefined;
  }

  private arrived(): void {
    if (this.interrupted) {
      this.interrupted = false;
      this.swallow('an instruction was cut by a DMA reset: the words after it are taken for its data');
    } else if (this.computing) this.checkHazard();
    this.advance();
  }

  private advance(): void {
    if (this.running) return;
    this.running = true;
    while (this.phase());
    this.running = false;
  }

  /** Goes on with `next` when the clock has caught up with the core's time. */
  private whenDone(next: Phase): true {
    const { clock } = this.around;
    const due = this.time;
    const waiting: Phase = () => {
      if (clock.now < due) return false;
      this.phase = next;
      return true;
    };
    this.phase = waiting;
    clock.at(due, () => {
      if (this.phase === waiting) this.advance();
    });
    return true;
  }

  private readonly fetch: Phase = () => {
    const [lane] = this.around.inputs;
    const opcode = lane.peek(0);
    if (opcode === undefined) return false;
    this.time = Math.max(this.time, this.around.clock.now);
    lane.take(1, this.time + 1);
    this.time += this.timing.decode(this.time);
    return this.part(opcode, opcode & ALL_PARTS);
  };

  /** Begins the next of the parts still to do. */
  private part(opcode: number, parts: number): true {
    const next =
      (done: number): Step =>
      () =>
        this.part(opcode, parts & ~done);
    if (parts & CONFIG) return this.operands('CONFIG', 4, (words) => this.config(words, next(CONFIG)));
    if (parts & LOAD_INP)
      return this.operands('LOAD_INP', 1, (words) => this.loadInputs(words, next(LOAD_INP)));
    if (parts & LOAD_WGT) {
      const count = this.around.description.revision === 'v1' ? 2 : 6;
      return this.operands('LOAD_WGT', count, (words) => this.loadWeights(words, next(LOAD_WGT)));
    }
    if (parts & COMPUTE) return this.operands('COMPUTE', 4, (words) => this.compute(words, opcode));
    this.storeJunk(opcode);
    this.time += this.timing.end(this.time);
    this.phase = this.fetch;
    return true;
  }

  /** Gathers operand words from lane A, however they are split over transfers. */
  private operands(part: string, count: number, then: (words: number[]) => true): true {
    const words: number[] = [];
    const [lane] = this.around.inputs;
    this.phase = () => {
      const come = Math.min(count - words.length, lane.available);
      for (let i = 0; i < come; i++) words.push(lane.peek(i) ?? 0);
      this.time = Math.max(this.time, this.around.clock.now);
      if (come > 0) lane.take(come, this.time + come);
      if (words.length === count) {
        this.missing = undefined;
        return then(words);
      }
      this.missing = { lane: 0, what: `${part} lacks ${count - words.length} of its operands` };
      return false;
    };
    return true;
  }

  private config([kb, , , type]: readonly number[], next: Step): true {
    this.kb = kb;
    this.type = type;
    this.time += this.timing.config(this.time);
    return next();
  }

  private loadInputs([blocks]: readonly number[], next: Step): true {
    const { capacity } = this.around.description;
    if (blocks > capacity.inputBlocks)
      return this.exceeded(
        'inputs',
        `LOAD_INP brings ${blocks} super-blocks, the core holds ${capacity.inputBlocks}`,
      );
    const timing = this.timing.inputs(this.time, blocks);
    return this.gather('LOAD_INP', [blocks * INPUT_WORDS], timing, next, ([words]) =>
      this.arithmetic.loadInputs(words, blocks),
    );
  }

  private loadWeights(header: readonly number[], next: Step): true {
    const { description, inputs, faults } = this.around;
    const [blocks, wordsPerBlock, ...lengths] = header;
    const { weightBlocks } = description.capacity;
    if (faults.shows('stream-desynchronised')) return this.swallow();
    if (faults.shows('capacity-exceeded')) return this.exceeded('weights');
    if (blocks > weightBlocks)
      return this.exceeded(
        'weights',
        `LOAD_WGT brings ${blocks} super-blocks, the core holds ${weightBlocks}`,
      );
    const type = this.knownType();
    if (type === undefined)
      return this.stuck(`LOAD_WGT of type ${this.type}, which the bitstream was built without`);
    const expected = inputs.map((_, lane) => blocksOfLane(blocks, lane, inputs.length) * CORE_WORDS[type]);
    const announced = description.revision === 'v1' ? [blocks * wordsPerBlock] : lengths;
    if (announced.some((length, lane) => length !== expected[lane]))
      return this.stuck(
        `LOAD_WGT of ${blocks} blocks announces ${announced.join(', ')} words; they have ${expected.join(', ')}`,
      );
    const headerAlone = blocks > 0 && inputs[0].available === 0;
    const timing = this.timing.weights(this.time, expected[0], headerAlone);
    return this.gather('LOAD_WGT', expected, timing, next, (lanes) =>
      this.arithmetic.loadWeights(lanes, type, blocks),
    );
  }

  /** Takes `needed` words of each lane, then hands their pieces over and goes on when the load's time is over. */
  private gather(
    part: string,
    needed: readonly number[],
    timing: LoadTiming,
    next: Step,
    loaded: (lanes: readonly LaneWords[]) => void,
  ): true {
    const { clock, inputs, memory } = this.around;
    const end = this.time + timing.cycles;
    const lanes = needed.map(
      (words): GatheredLane => ({ at: 0, copies: undefined, remaining: words, ready: timing.dataFrom }),
    );
    let lastAt = timing.dataFrom;
    const ends = timing.stretched.map(({ to }) => to);
    this.phase = () => {
      let lacking = -1;
      for (let index = 0; index < needed.length; index++) {
        const lane = lanes[index];
        const words = Math.min(lane.remaining, inputs[index].available);
        if (words > 0) {
          lane.ready = Math.max(lane.ready, clock.now) + words;
          lastAt = Math.max(lastAt, lane.ready);
          lane.at = inputs[index].take(words, lane.ready);
          lane.remaining -= words;
          // Words of a transfer that brings only a part may change once it is complete.
          if (words < needed[index]) {
            lane.copies ??= [];
            lane.copies.push(memory.bytes.slice(lane.at, lane.at + words * 4));
          }
        }
        if (lane.remaining > 0) lacking = index;
      }
      if (lacking >= 0) {
        for (const span of timing.stretched) span.to = Number.POSITIVE_INFINITY;
        const what = `${part} lacks ${lanes[lacking].remaining} words on lane ${laneName(lacking)}`;
        this.missing = { lane: lacking, what };
        return false;
      }
      this.missing = undefined;
      const late = Math.max(0, lastAt + timing.after - end);
      for (let i = 0; i < ends.length; i++) timing.stretched[i].to = ends[i] + late;
      loaded(lanes);
      this.time = end + late;
      return this.whenDone(next);
    };
    return true;
  }

  private compute([, , rows, columns]: readonly number[], opcode: number): true {
    const { clock, description, faults } = this.around;
    const { weightBlocks, inputBlocks } = description.capacity;
    const { kb } = this;
    if (faults.shows('core-stuck')) return this.stuck();
    if (faults.shows('hazard')) return this.stop('hazard', 'start-handshake');
    const type = this.knownType();
    if (type === undefined)
      return this.stuck(`COMPUTE of type ${this.type}, which the bitstream was built without`);
    // With kb = 0 no block is touched, but more rows or columns than blocks are no tile either; zero steps do nothing.
    const tooMany = rows * Math.max(kb, 1) > weightBlocks || columns * Math.max(kb, 1) > inputBlocks;
    if (tooMany && rows * columns > 0)
      return this.exceeded(
        'start-handshake',
        `COMPUTE of ${rows} rows and ${columns} columns of ${kb} super-blocks; the core holds ${weightBlocks} and ${inputBlocks}`,
      );
    const { cycles, computing } = this.timing.compute(this.time, rows * columns * kb);
    this.time += cycles;
    this.computing = true;
    this.readsBlocks = rows * columns * kb > 0;
    this.whenDone(() => {
      if (rows * columns > 0) {
        if (!this.around.outputs[0].isReady) {
          if (computing !== undefined) computing.to = Number.POSITIVE_INFINITY;
          return false;
        }
        if (computing !== undefined && computing.to > clock.now) computing.to = clock.now;
        this.arithmetic.multiply(type, kb, rows, columns);
        this.sendResults(rows * columns * 4);
      }
      this.computing = false;
      this.storeJunk(opcode);
      this.phase = this.fetch;
      return true;
    });
    this.checkHazard();
    return true;
  }

  private sendResults(byteLength: number): void {
    const { faults, outputs } = this.around;
    const [lane] = outputs;
    if (faults.shows('result-short')) lane.send(CORE_AREA.outputs, byteLength - 4, true);
    else if (faults.shows('result-long')) lane.send(CORE_AREA.outputs, byteLength + 4, true);
    else lane.send(CORE_AREA.outputs, byteLength, !faults.shows('no-tlast'));
  }

  /** STORE has no effect but on v3 together with all of bits 0 to 3: a word without meaning on lanes B to D. */
  private storeJunk(opcode: number): void {
    if ((opcode & STORE_JUNK) !== STORE_JUNK) return;
    for (const lane of this.around.outputs.slice(1)) lane.send(CORE_AREA.scratch, 4, false);
  }

  /** Loads and a change of type are not held back while a COMPUTE runs: the real core would corrupt its results. */
  private checkHazard(): void {
    if (!this.readsBlocks) return;
    const [lane] = this.around.inputs;
    let at = 0;
    let opcode = lane.peek(at);
    while (opcode !== undefined && (opcode & ALL_PARTS) === 0) opcode = lane.peek(++at);
    if (opcode === undefined) return;
    const newType = (opcode & CONFIG) === 0 ? undefined : lane.peek(at + 4);
    if ((opcode & LOADS) === 0 && (newType === undefined || newType === this.type)) return;
    const what = (opcode & LOADS) === 0 ? 'a CONFIG with another type' : 'a load';
    this.stop(
      'hazard',
      'start-handshake',
      `${what} reached the core before the results of a COMPUTE were taken`,
    );
  }

  private knownType(): CoreType | undefined {
    const type = CORE_TYPES.find((known) => known === this.type);
    return type !== undefined && this.around.description.weightTypes.includes(type) ? type : undefined;
  }

  private stuck(detail?: string): true {
    return this.stop('core-stuck', 'start-handshake', detail);
  }

  private exceeded(where: 'inputs' | 'weights' | 'start-handshake', detail?: string): true {
    return this.stop('capacity-exceeded', where, detail);
  }

  /** Nothing moves any more; words that come stay where they are. */
  private stop(fault: FaultName, where: 'inputs' | 'weights' | 'start-handshake', detail?: string): true {
    if (detail !== undefined) this.around.faults.report(fault, detail);
    this.timing.stop(this.around.clock.now, where);
    this.computing = false;
    this.missing = undefined;
    this.phase = () => false;
    return true;
  }

  /** All further words of lane A are taken for data. */
  private swallow(detail?: string): true {
    this.stop('stream-desynchronised', 'weights', detail);
    const [lane] = this.around.inputs;
    this.phase = () => {
      const { available } = lane;
      if (available > 0) lane.take(available, this.around.clock.now + available);
      return false;
    };
    return true;
  }
}

/** A lane's words while they come. */
interface GatheredLane extends LaneWords {
  at: number;
  copies: Uint8Array[] | undefined;
  remaining: number;
  /** Cycle from which the lane can go on. */
  ready: number;
}

function laneName(lane: number): string {
  return 'ABCD'[lane];
}
