import type { AllocateOptions, Board, DmaBuffer, DmaDirection, RegisterWindow } from '../../board/index.js';
import { CHUNK_BYTES, headerOf, type TraceEvent, type TraceValue } from './events.js';
import { holdsAddress, TraceRegisters } from './registers.js';

/** Takes the lines of a trace, each without its line end. */
export type TraceSink = (line: string) => void;

type Poll = Extract<TraceEvent, { event: 'read' }>;

/**
 * A board that does what `board` does and writes down every register access, hand-over of a buffer and wait
 * (docs/trace-format.md). Keeps a copy of what the device may write, to tell only what changed.
 */
export function recordBoard(board: Board, sink: TraceSink): Board {
  return new RecordingBoard(board, sink);
}

class RecordingBoard implements Board {
  readonly description;
  readonly #registers: TraceRegisters;
  readonly #buffers = new Set<RecordedBuffer>();
  #nextId = 1;
  /** Reads of the present call of a wait's condition that nothing has followed yet; undefined outside of waits. */
  #polls: Poll[] | undefined;
  #timeoutUs = 0;
  readonly #board: Board;
  readonly #sink: TraceSink;

  constructor(board: Board, sink: TraceSink) {
    this.#board = board;
    this.#sink = sink;
    this.description = board.description;
    this.#registers = new TraceRegisters(board.description);
    sink(JSON.stringify(headerOf(board.description)));
  }

  emit(event: TraceEvent): void {
    this.#sink(JSON.stringify(event));
  }

  window(name: string): RegisterWindow {
    const inner = this.#board.window(name);
    return {
      name: inner.name,
      base: inner.base,
      size: inner.size,
      read32: (offset) => {
        const read = inner.read32(offset);
        const register = this.#registers.nameOf(name, offset);
        this.#noteRead({
          event: 'read',
          window: name,
          register,
          value: this.#portable(name, register, read),
        });
        return read;
      },
      write32: (offset, value) => {
        const register = this.#registers.nameOf(name, offset);
        this.#flushLastPoll();
        this.emit({
          event: 'write',
          window: name,
          register,
          value: this.#portable(name, register, value >>> 0),
        });
        inner.write32(offset, value);
      },
    };
  }

  #noteRead(read: Poll): void {
    if (this.#polls) this.#polls.push(read);
    else this.emit(read);
  }

  /** Of the reads before a write only the last is its reason: earlier ones were of transfers that still went on. */
  #flushLastPoll(): void {
    const last = this.#polls?.at(-1);
    if (!last) return;
    this.emit({ ...last, event: 'poll', timeoutUs: this.#timeoutUs });
    this.#polls = [];
  }

  #portable(window: string, register: string, value: number): TraceValue {
    if (!holdsAddress(window, register)) return value;
    for (const buffer of this.#buffers) {
      const at = value - buffer.physicalAddress;
      if (at >= 0 && at < buffer.byteLength) return { buffer: buffer.id, at };
    }
    return value;
  }

  /** Zeros first: what the memory held before is no result. So the CPU writes to buffers of either direction. */
  allocate(byteLength: number, { align, direction = 'both' }: AllocateOptions = {}): DmaBuffer {
    const aligned = align === undefined ? {} : { align };
    const inner = this.#board.allocate(byteLength, aligned);
    inner.write(0, new Uint8Array(byteLength));
    const recorded = new RecordedBuffer(inner, direction, this.#nextId++, this, () =>
      this.#buffers.delete(recorded),
    );
    this.#buffers.add(recorded);
    this.emit({ event: 'allocate', buffer: recorded.id, bytes: byteLength, ...aligned });
    return recorded;
  }

  dmaMemory() {
    return this.#board.dmaMemory();
  }

  waitUntil(done: () => boolean, timeoutUs: number): boolean {
    this.#timeoutUs = timeoutUs;
    const held = this.#board.waitUntil(() => {
      this.#polls = [];
      return done();
    }, timeoutUs);
    const last = this.#polls ?? [];
    this.#polls = undefined;
    if (!held) this.emit({ event: 'timeout', timeoutUs });
    for (const read of last) this.emit(held ? { ...read, event: 'poll', timeoutUs } : read);
    return held;
  }

  now(): number {
    return this.#board.now();
  }

  takeFaults() {
    const faults = this.#board.takeFaults();
    if (faults.length > 0) this.emit({ event: 'faults', names: faults.map(({ name }) => name) });
    return faults;
  }

  resetLogic(): void {
    this.emit({ event: 'reset-logic' });
    this.#board.resetLogic();
  }

  close(): void {
    this.#board.close();
  }
}

class RecordedBuffer implements DmaBuffer {
  /** Contents as the trace has them so far; nothing where the device never writes. */
  readonly #known: Uint8Array | undefined;
  readonly #inner: DmaBuffer;
  readonly #trace: RecordingBoard;
  readonly #forget: () => void;

  constructor(
    inner: DmaBuffer,
    readonly direction: DmaDirection,
    readonly id: number,
    trace: RecordingBoard,
    forget: () => void,
  ) {
    this.#inner = inner;
    this.#trace = trace;
    this.#forget = forget;
    if (direction !== 'to-device') this.#known = new Uint8Array(inner.byteLength);
  }

  get physicalAddress(): number {
    return this.#inner.physicalAddress;
  }

  get byteLength(): number {
    return this.#inner.byteLength;
  }

  ownerOf(offset?: number, byteLength?: number): 'cpu' | 'device' | 'both' {
    return this.#inner.ownerOf(offset, byteLength);
  }

  write(offset: number, source: Uint8Array, at = 0, byteLength = source.length - at): void {
    this.#inner.write(offset, source, at, byteLength);
    const written = source.subarray(at, at + byteLength);
    this.#known?.set(written, offset);
    for (let from = 0; from < byteLength; from += CHUNK_BYTES)
      this.#emit('data', offset + from, written.subarray(from, from + CHUNK_BYTES));
  }

  read(offset: number, into: Uint8Array, at?: number, byteLength?: number): void {
    this.#inner.read(offset, into, at, byteLength);
  }

  giveToDevice(offset = 0, byteLength = this.byteLength - offset): number {
    const before = this.#inner.ownerOf(offset, byteLength);
    const handed = this.#inner.giveToDevice(offset, byteLength);
    if (before !== 'device')
      this.#trace.emit({ event: 'give-device', buffer: this.id, ...this.#range(offset, byteLength) });
    return this.direction === 'from-device' ? 0 : handed;
  }

  giveToCpu(offset = 0, byteLength = this.byteLength - offset): number {
    const before = this.#inner.ownerOf(offset, byteLength);
    const handed = this.#inner.giveToCpu(offset, byteLength);
    if (before === 'cpu') return handed;
    this.#trace.emit({ event: 'give-cpu', buffer: this.id, ...this.#range(offset, byteLength) });
    if (this.#known === undefined) return 0;
    this.#emitResults(this.#known, offset, byteLength);
    return handed;
  }

  free(): void {
    this.#trace.emit({ event: 'free', buffer: this.id });
    this.#forget();
    this.#inner.free();
  }

  /** A whole buffer needs no numbers. */
  #range(at: number, bytes: number): { at?: number; bytes?: number } {
    return at === 0 && bytes === this.byteLength ? {} : { at, bytes };
  }

  #emitResults(known: Uint8Array, offset: number, byteLength: number): void {
    const now = new Uint8Array(byteLength);
    this.#inner.read(offset, now);
    for (let from = 0; from < byteLength; from += CHUNK_BYTES) {
      const chunk = now.subarray(from, from + CHUNK_BYTES);
      const at = offset + from;
      const [first, end] = changedRange(chunk, known.subarray(at, at + chunk.length));
      if (first === end) continue;
      const changed = chunk.subarray(first, end);
      this.#emit('result', at + first, changed);
      known.set(changed, at + first);
    }
  }

  #emit(event: 'data' | 'result', at: number, bytes: Uint8Array): void {
    this.#trace.emit({ event, buffer: this.id, at, bytes: Buffer.from(bytes).toString('base64') });
  }
}

/** First changed byte and the byte after the last; equal where nothing changed. */
function changedRange(now: Uint8Array, before: Uint8Array): [number, number] {
  if (Buffer.compare(now, before) === 0) return [0, 0];
  let first = 0;
  while (now[first] === before[first]) first++;
  let end = now.length;
  while (now[end - 1] === before[end - 1]) end--;
  return [first, end];
}
