import type { BoardDescription } from '../../driver/board-description.js';
import { CORE_TYPES, CORE_WORDS, type CoreType, Q8K_BYTES } from '../../gguf/types.js';
import type { Clock } from '../clock.js';
import type { FaultName, FaultPanel } from '../faults.js';
import { type Kernel, PREPARED_INPUT } from '../kernel.js';
import type { Monitors } from '../monitors.js';
import { CORE_AREA, type PhysicalMemory } from '../physical-memory.js';
import type { InputLane, OutputLane } from '../stream-lanes.js';
import { multiplyFields } from './exact-multiply.js';
import { CoreTiming, type LoadTiming } from './timing.js';
import { blocksOfLane, WeightLoad } from './weight-load.js';
import { WeightMemory } from './weight-memory.js';

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
  private readonly weights: WeightMemory;
  private readonly timing: CoreTiming;
  private phase: Phase;
  private computing = false;
  /** An instruction lost words or room to a DMA reset: the next words are not what it takes them for. */
  private interrupted = false;
  /** What the instruction at hand waits for, for the diagnosis of a timeout. */
  private missing: { readonly lane: number; readonly what: string } | undefined;
  private running = false;

  constructor(private readonly around: CoreSurroundings) {
    const { description, clock, monitors, inputs, outputs } = around;
    this.weights = new WeightMemory(description.revision, description.capacity.weightBlocks);
    this.timing = new CoreTiming(description.revision, monitors, clock.now);
    this.phase = this.fetch;
    for (const lane of inputs) lane.onWords = () => this.arrived();
    outputs[0].onRoom = () => this.arrived();
    around.memory.bytes.fill(
      0,
      CORE_AREA.inputs,
      CORE_AREA.inputs + description.capacity.inputBlocks * PREPARED_INPUT.bytes,
    );
  }

  /** Memory that loaded weights may lie in is about to change. */
  keep(start: number, end: number): void {
    this.weights.keep(start, end);
  }

  /** A lane's DMA engine was reset. */
  laneReset(): void {
    if (this.phase !== this.fetch) this.interrupted = true;
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

  /** Goes on with `next` after some cycles. */
  private after(cycles: number, next: Phase): true {
    const due = this.around.clock.now + cycles;
    const waiting: Phase = () => {
      if (this.around.clock.now < due) return false;
      this.phase = next;
      return true;
    };
    this.phase = waiting;
    this.around.clock.at(due, () => {
      if (this.phase === waiting) this.advance();
    });
    return true;
  }

  private readonly fetch: Phase = () => {
    const [lane] = this.around.inputs;
    const opcode = lane.peek(0);
    if (opcode === undefined) {
      return false;
    }
    const { now } = this.around.clock;
    lane.take(1, now + 1);
    return this.after(this.timing.decode(now), () => this.part(opcode, opcode & ALL_PARTS));
  };

  /** Begins the next of the parts still to do. */
  private part(opcode: number, parts: number): true {
    const next =
      (done: number): Phase =>
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
    return this.after(this.timing.end(this.around.clock.now), this.fetch);
  }

  /** Gathers operand words from lane A, however they are split over transfers. */
  private operands(part: string, count: number, then: (words: number[]) => true): true {
    const words: number[] = [];
    const [lane] = this.around.inputs;
    this.phase = () => {
      for (let word = lane.peek(0); words.length < count && word !== undefined; word = lane.peek(0)) {
        lane.take(1, this.around.clock.now + words.length + 1);
        words.push(word);
      }
      this.missing =
        words.length === count
          ? undefined
          : { lane: 0, what: `${part} lacks ${count - words.length} of its operands` };
      return this.missing === undefined && then(words);
    };
    return true;
  }

  private config([kb, , , type]: readonly number[], next: Phase): true {
    this.kb = kb;
    this.type = type;
    return this.after(this.timing.config(this.around.clock.now), next);
  }

  private loadInputs([blocks]: readonly number[], next: Phase): true {
    const { capacity } = this.around.description;
    if (blocks > capacity.inputBlocks)
      return this.exceeded(
        'inputs',
        `LOAD_INP brings ${blocks} super-blocks, the core holds ${capacity.inputBlocks}`,
      );
    const timing = this.timing.inputs(this.around.clock.now, blocks);
    return this.gather('LOAD_INP', [blocks * INPUT_WORDS], timing, next, ([pieces]) => {
      const { kernel, memory } = this.around;
      let source = pieces.at(0)?.at ?? 0;
      if (pieces.length > 1) {
        memory.bytes.set(joined(pieces), CORE_AREA.gatheredInputs);
        source = CORE_AREA.gatheredInputs;
      }
      kernel.prepareInputs(source, CORE_AREA.inputs, blocks);
    });
  }

  private loadWeights(header: readonly number[], next: Phase): true {
    const { description, inputs, clock, faults, memory } = this.around;
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
    const timing = this.timing.weights(clock.now, expected[0], blocks > 0 && inputs[0].available === 0);
    return this.gather('LOAD_WGT', expected, timing, next, (lanes) => {
      const words = lanes.map(([first, ...others]) => {
        if (first === undefined) return { at: 0 };
        return first.copy === undefined ? { at: first.at } : { copy: joined([first, ...others]) };
      });
      this.weights.load(new WeightLoad(type, blocks, words, memory.bytes));
    });
  }

  /** Takes `needed` words of each lane, then hands their pieces over and goes on when the load's time is over. */
  private gather(
    part: string,
    needed: readonly number[],
    timing: LoadTiming,
    next: Phase,
    loaded: (lanes: readonly Piece[][]) => void,
  ): true {
    const { clock, inputs, memory } = this.around;
    const begun = clock.now;
    const pieces: Piece[][] = needed.map(() => []);
    const remaining = [...needed];
    const ready = needed.map(() => timing.dataFrom);
    const ends = timing.stretched.map(({ to }) => to);
    this.phase = () => {
      for (const [index, lane] of inputs.slice(0, needed.length).entries()) {
        const words = Math.min(remaining[index], lane.available);
        if (words === 0) continue;
        ready[index] = Math.max(ready[index], clock.now) + words;
        const at = lane.take(words, ready[index]);
        // Words of a transfer that brings only a part may change once it is complete.
        const copy = words < needed[index] ? memory.bytes.slice(at, at + words * 4) : undefined;
        pieces[index].push({ at, copy });
        remaining[index] -= words;
      }
      const lacking = remaining.findIndex((words) => words > 0);
      if (lacking >= 0) {
        for (const span of timing.stretched) span.to = Number.POSITIVE_INFINITY;
        const what = `${part} lacks ${remaining[lacking]} words on lane ${laneName(lacking)}`;
        this.missing = { lane: lacking, what };
        return false;
      }
      this.missing = undefined;
      const late = Math.max(0, Math.max(...ready) + timing.after - (begun + timing.cycles));
      for (const [index, span] of timing.stretched.entries()) span.to = ends[index] + late;
      loaded(pieces);
      return this.after(begun + timing.cycles + late - clock.now, next);
    };
    return true;
  }

  private compute([, , rows, columns]: readonly number[], opcode: number): true {
    const { clock, description, faults } = this.around;
    const { weightBlocks, inputBlocks } = description.capacity;
    const { kb } = this;
    if (faults.shows('core-stuck')) return this.stuck();
    const type = this.knownType();
    if (type === undefined)
      return this.stuck(`COMPUTE of type ${this.type}, which the bitstream was built without`);
    // With kb = 0 no block is touched, but more rows or columns than blocks are no tile either.
    if (rows * Math.max(kb, 1) > weightBlocks || columns * Math.max(kb, 1) > inputBlocks)
      return this.exceeded(
        'start-handshake',
        `COMPUTE of ${rows} rows and ${columns} columns of ${kb} super-blocks; the core holds ${weightBlocks} and ${inputBlocks}`,
      );
    const { cycles, computing } = this.timing.compute(clock.now, rows * columns * kb);
    this.computing = true;
    this.after(cycles, () => {
      if (rows * columns > 0) {
        if (!this.around.outputs[0].isReady) {
          if (computing !== undefined) computing.to = Number.POSITIVE_INFINITY;
          return false;
        }
        if (computing !== undefined && computing.to > clock.now) computing.to = clock.now;
        this.sendResults(this.results(type, kb, rows, columns));
      }
      this.computing = false;
      this.storeJunk(opcode);
      this.phase = this.fetch;
      return true;
    });
    this.checkHazard();
    return true;
  }

  /** float32 results, column after column, as bytes. */
  private results(type: CoreType, kb: number, rows: number, columns: number): Uint8Array {
    const { kernel, memory, description } = this.around;
    const byteLength = rows * columns * 4;
    if (kb === 0) return new Uint8Array(byteLength);
    const load = this.weights.only(type, rows * kb);
    if (load === undefined) {
      const inputs = new DataView(memory.memory.buffer, CORE_AREA.inputs);
      const results = multiplyFields(this.weights.fields(), type, inputs, kb, rows, columns);
      return new Uint8Array(results.buffer);
    }
    memory.words.set(load.addresses ?? this.gathered(load), CORE_AREA.laneAddresses / 4);
    kernel.multiply(
      type,
      CORE_AREA.laneAddresses,
      description.dma.lanes === 4 ? 2 : 0,
      CORE_AREA.inputs,
      CORE_AREA.outputs,
      CORE_AREA.scratch,
      kb,
      rows,
      columns,
    );
    return memory.bytes.subarray(CORE_AREA.outputs, CORE_AREA.outputs + byteLength);
  }

  /** Puts a load's copied words where the kernels can read them. */
  private gathered(load: WeightLoad): number[] {
    let at: number = CORE_AREA.gatheredWeights;
    return this.around.inputs.map((_, lane) => {
      const start = at;
      const bytes = load.laneBytes(lane);
      this.around.memory.bytes.set(bytes, start);
      at += bytes.length;
      return start;
    });
  }

  private sendResults(packet: Uint8Array): void {
    const { faults, outputs } = this.around;
    const [lane] = outputs;
    if (faults.shows('result-short')) lane.send(packet.subarray(0, packet.length - 4), true);
    else if (faults.shows('result-long')) lane.send(Buffer.concat([packet, new Uint8Array(4)]), true);
    else lane.send(packet, !faults.shows('no-tlast'));
  }

  /** STORE has no effect but on v3 together with all of bits 0 to 3: a word without meaning on lanes B to D. */
  private storeJunk(opcode: number): void {
    if ((opcode & STORE_JUNK) !== STORE_JUNK) return;
    for (const lane of this.around.outputs.slice(1)) lane.send(new Uint8Array(4), false);
  }

  /** Loads and a change of type are not held back while a COMPUTE runs: the real core would corrupt its results. */
  private checkHazard(): void {
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

/** Words in one piece; copied where the memory under them may change before the instruction is complete. */
interface Piece {
  readonly at: number;
  readonly copy: Uint8Array | undefined;
}

function joined(pieces: readonly Piece[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces.map(({ copy }) => copy ?? new Uint8Array(0))));
}

function laneName(lane: number): string {
  return 'ABCD'[lane];
}
