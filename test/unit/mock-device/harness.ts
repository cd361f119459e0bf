import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DmaBuffer } from '../../../board/board.js';
import type { BoardDescription, CoreRevision } from '../../../board/description.js';
import { AXI_DMA_REGISTERS as DMA, DMACR, DMASR } from '../../../board/registers/axi-dma.js';
import {
  type CounterMap,
  counterMap,
  STATUS_REGISTERS,
  statusOffset,
} from '../../../board/registers/index.js';
import { CORE_BLOCK_BYTES, CORE_WORDS, type CoreType } from '../../../gguf/types.js';
import { type MockBoard, type MockBoardOptions, openMockBoard } from '../../../mock-device/index.js';
import { contents } from '../board/contents.js';

const WINDOWS = { control: 0x43c0_0000, hwc: 0x43c1_0000 };

/** A small board: 16 MiB of DMA memory, so that many can be opened. */
export function description(
  revision: CoreRevision,
  changes: Partial<BoardDescription> = {},
): BoardDescription {
  const lanes = revision === 'v1' ? 1 : 4;
  const dma = Array.from({ length: lanes }, (_, i) => [
    `dma${i}`,
    { base: 0x4040_0000 + i * 0x1_0000, size: 0x1_0000 },
  ]);
  return {
    name: `test-${revision}`,
    title: `test board ${revision}`,
    architecture: 'armv7',
    revision,
    timing: 'systemc',
    unpack: 'words',
    clockHz: 100_000_000,
    weightTypes: [2, 3, 4, 5, 6],
    windows: {
      control: { base: WINDOWS.control, size: 0x1_0000 },
      hwc: { base: WINDOWS.hwc, size: 0x1_0000 },
      ...Object.fromEntries(dma),
    },
    dma: { lanes, lengthBits: 26 },
    dmaMemory: [{ base: 0x1800_0000, size: 16 << 20 }],
    memoryBytes: 512 << 20,
    capacity: { weightBlocks: 1024, inputBlocks: 512 },
    ...changes,
  };
}

/** Drives a board by register accesses alone, as the manual says, so that no driver code stands between. */
export class Poker {
  readonly board: MockBoard;
  /** Where the counters lie. */
  readonly counters: CounterMap;
  readonly #lanes: number;
  #buffers: DmaBuffer[] = [];

  constructor(
    revision: CoreRevision,
    changes: Partial<BoardDescription> = {},
    options: MockBoardOptions = {},
  ) {
    this.board = openMockBoard(description(revision, changes), options);
    this.counters = counterMap(this.board.description);
    this.#lanes = this.board.description.dma.lanes;
    this.startChannels();
  }

  get revision(): CoreRevision {
    return this.board.description.revision;
  }

  read(lane: number, register: keyof typeof DMA): number {
    return this.board.window(`dma${lane}`).read32(DMA[register].offset);
  }

  write(lane: number, register: keyof typeof DMA, value: number): void {
    this.board.window(`dma${lane}`).write32(DMA[register].offset, value);
  }

  /** Soft reset of every engine, then run. */
  startChannels(): void {
    for (let lane = 0; lane < this.#lanes; lane++) this.write(lane, 'MM2S_DMACR', DMACR.RESET);
    this.board.waitUntil(() => (this.read(this.#lanes - 1, 'MM2S_DMACR') & DMACR.RESET) === 0, 10);
    for (let lane = 0; lane < this.#lanes; lane++) {
      this.write(lane, 'MM2S_DMACR', DMACR.RUN | DMACR.IOC_IRQ_EN);
      this.write(lane, 'S2MM_DMACR', DMACR.RUN | DMACR.IOC_IRQ_EN);
    }
  }

  buffer(content: Uint8Array | number): DmaBuffer {
    const buffer = this.board.allocate(typeof content === 'number' ? content : content.length);
    if (typeof content !== 'number') buffer.write(0, content);
    buffer.giveToDevice();
    this.#buffers.push(buffer);
    return buffer;
  }

  freeBuffers(): void {
    for (const buffer of this.#buffers) buffer.free();
    this.#buffers = [];
  }

  send(lane: number, words: readonly number[] | Uint8Array): void {
    const bytes = words instanceof Uint8Array ? words : bytesOf(words);
    if (bytes.length === 0) return;
    this.sendBuffer(lane, this.buffer(bytes));
  }

  sendBuffer(lane: number, buffer: DmaBuffer): void {
    this.write(lane, 'MM2S_SA', buffer.physicalAddress);
    this.write(lane, 'MM2S_LENGTH', buffer.byteLength);
  }

  /** Waits until a lane's sending transfer is complete. */
  sent(lane: number, timeoutUs = 1e6): boolean {
    return this.board.waitUntil(() => (this.read(lane, 'MM2S_DMASR') & DMASR.IDLE) !== 0, timeoutUs);
  }

  arm(byteLength: number, lane = 0): DmaBuffer {
    const buffer = this.buffer(byteLength);
    this.write(lane, 'S2MM_DMASR', DMASR.IOC_IRQ);
    this.write(lane, 'S2MM_DA', buffer.physicalAddress);
    this.write(lane, 'S2MM_LENGTH', byteLength);
    return buffer;
  }

  received(timeoutUs = 1e6, lane = 0): boolean {
    return this.board.waitUntil(() => (this.read(lane, 'S2MM_DMASR') & DMASR.IOC_IRQ) !== 0, timeoutUs);
  }

  status(): number[] {
    const control = this.board.window('control');
    return STATUS_REGISTERS[this.revision].map((_, index) => control.read32(statusOffset(index)));
  }

  resetCounters(): void {
    const hwc = this.board.window('hwc');
    hwc.write32(this.counters.reset, 1);
    hwc.write32(this.counters.reset, 0);
  }

  setTarget(monitor: number, state: number): void {
    this.board.window('hwc').write32(this.counters.registers[monitor].target, state);
  }

  count(monitor: number): number {
    return this.board.window('hwc').read32(this.counters.registers[monitor].count);
  }
}

export function bytesOf(words: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(words).buffer);
}

export interface VectorCase {
  readonly file: string;
  readonly type: CoreType;
  readonly rows: number;
  readonly columns: number;
  readonly kb: number;
  readonly rowsPerTile: number;
  /** GGUF blocks. */
  readonly weights: Uint8Array;
  /** Q8_K blocks. */
  readonly inputs: Uint8Array;
  /** Bits of the results, out[n * rows + m]. */
  readonly results: Uint32Array;
}

export const VECTORS = join(process.cwd(), 'vectors');

export function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(join(VECTORS, file), 'utf8'));
}

export function readVector(file: string): VectorCase {
  const bytes = readFileSync(join(VECTORS, file));
  const header = Array.from({ length: 16 }, (_, i) => bytes.readUInt32LE(i * 4));
  const [, , type, rows, columns, k, weightBytes, inputBytes, weightAt, inputAt, resultAt, , , rowsPerTile] =
    header;
  const results = new Uint32Array(rows * columns);
  for (let i = 0; i < results.length; i++) results[i] = bytes.readUInt32LE(resultAt + i * 4);
  return {
    file,
    type: type as CoreType,
    rows,
    columns,
    kb: k / 256,
    rowsPerTile,
    weights: new Uint8Array(bytes.subarray(weightAt, weightAt + weightBytes)),
    inputs: new Uint8Array(bytes.subarray(inputAt, inputAt + inputBytes)),
    results,
  };
}

/** GGUF blocks as each lane's words: block i to lane i mod lanes, padded to whole words. */
export function laneWords(type: CoreType, blocks: Uint8Array, lanes: number): Uint8Array[] {
  const size = CORE_BLOCK_BYTES[type];
  const stride = CORE_WORDS[type] * 4;
  const count = blocks.length / size;
  const streams = Array.from(
    { length: lanes },
    (_, lane) => new Uint8Array(Math.ceil((count - lane) / lanes) * stride),
  );
  for (let i = 0; i < count; i++)
    streams[i % lanes].set(blocks.subarray(i * size, (i + 1) * size), Math.floor(i / lanes) * stride);
  return streams;
}

export function loadWeightsHeader(
  revision: CoreRevision,
  type: CoreType,
  streams: readonly Uint8Array[],
  blocks: number,
): number[] {
  const lengths = revision === 'v1' ? [] : streams.map(({ length }) => length / 4);
  return [0x02, blocks, CORE_WORDS[type], ...lengths];
}

export interface MatMulRun {
  /** Bits, out[n * rows + m]. */
  readonly results: Uint32Array;
  readonly cycles: number;
  readonly inputCycles: number;
  readonly tiles: readonly { readonly load: number; readonly compute: number }[];
}

/**
 * One MatMul as the manual's cycle counts assume: CONFIG|LOAD_INP once, then LOAD_WGT and COMPUTE per tile, waiting
 * for a tile's results before the next load; with resident weights header and COMPUTE words are transfers of their own.
 * Inputs are waited for until they are sent, as on the model: its first tile's header comes while the core ends them.
 */
export function runMatMul(poker: Poker, vector: VectorCase, resident: boolean): MatMulRun {
  const { board, revision } = poker;
  const { type, kb, rows, columns, rowsPerTile } = vector;
  const begun = board.cycles;
  poker.send(0, concat(bytesOf([0x11, kb, rows, columns, type, kb * columns]), vector.inputs));
  poker.sent(0);
  const inputCycles = board.cycles - begun;
  const results = new Uint32Array(rows * columns);
  const tiles: { load: number; compute: number }[] = [];
  const rowBytes = kb * CORE_BLOCK_BYTES[type];
  for (let row = 0; row < rows; row += rowsPerTile) {
    const tileRows = Math.min(rowsPerTile, rows - row);
    const tile = vector.weights.subarray(row * rowBytes, (row + tileRows) * rowBytes);
    const streams = laneWords(type, tile, board.description.dma.lanes);
    const header = bytesOf(loadWeightsHeader(revision, type, streams, tileRows * kb));
    const compute = bytesOf([0x04, tileRows * kb, columns * kb, tileRows, columns]);
    const out = poker.arm(tileRows * columns * 4);
    const tileBegun = board.cycles;
    for (const [lane, stream] of streams.entries()) if (lane > 0) poker.send(lane, stream);
    if (resident) {
      poker.send(0, header);
      poker.sent(0);
      poker.send(0, streams[0]);
      poker.sent(0);
      poker.send(0, compute);
    } else poker.send(0, concat(header, streams[0], compute));
    if (!poker.received()) throw new Error(`no results: ${JSON.stringify(board.takeFaults())}`);
    const spent = board.cycles - tileBegun;
    const computeCycles = tileRows * columns * kb + 10;
    tiles.push({ load: spent - computeCycles, compute: computeCycles });
    out.giveToCpu();
    const words = new Uint32Array(contents(out).buffer);
    for (let n = 0; n < columns; n++)
      results.set(words.subarray(n * tileRows, (n + 1) * tileRows), n * rows + row);
  }
  const cycles = board.cycles - begun;
  poker.freeBuffers();
  return { results, cycles, inputCycles, tiles };
}

/** How many results differ in their bits; NaNs count as equal. */
export function bitMismatches(actual: Uint32Array, expected: Uint32Array): number {
  const isNaNBits = (bits: number): boolean => (bits & 0x7fff_ffff) > 0x7f80_0000;
  return actual.filter((bits, i) => bits !== expected[i] && !(isNaNBits(bits) && isNaNBits(expected[i])))
    .length;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
