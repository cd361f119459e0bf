import type { AllocateOptions, Board, DmaBuffer, RegisterWindow } from '../../board/index.js';
import { CHUNK_BYTES, headerOf, type TraceEvent, type TraceValue } from './events.js';
import { holdsAddress, TraceRegisters } from './registers.js';

/** Takes the lines of a trace, each without its line end. */
export type TraceSink = (line: string) => void;

type Poll = Extract<TraceEvent, { event: 'read' }>;

/**
 * A board that does what `board` does and writes down every register access, hand-over of a buffer and wait
 * (docs/trace-format.md). Keeps a copy of every buffer, to write only what changed.
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

  /** A trace says all that is in memory, so nothing that lies there already is used: see `keepsMemory`. */
  allocate(byteLength: number, options: AllocateOptions = {}): DmaBuffer {
    const inner = this.#board.allocate(byteLength, options);
    const recorded = new RecordedBuffer(inner, this.#nextId++, this, () => this.#buffers.delete(recorded));
    this.#buffers.add(recorded);
    this.emit({
      event: 'allocate',
      buffer: recorded.id,
      bytes: byteLength,
      ...(options.align !== undefined && { align: options.align }),
    });
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
  /** Contents as the trace has them so far: zeros at first, whatever the memory holds. */
  readonly #known: Uint8Array;
  readonly #inner: DmaBuffer;
  readonly #trace: RecordingBoard;
  readonly #forget: () => void;

  constructor(
    inner: DmaBuffer,
    readonly id: number,
    trace: RecordingBoard,
    forget: () => void,
  ) {
    this.#inner = inner;
    this.#trace = trace;
    this.#forget = forget;
    this.#known = new Uint8Array(inner.byteLength);
  }

  get physicalAddress(): number {
    return this.#inner.physicalAddress;
  }

  get byteLength(): number {
    return this.#inner.byteLength;
  }

  get bytes(): Uint8Array {
    return this.#inner.bytes;
  }

  get owner(): 'cpu' | 'device' {
    return this.#inner.owner;
  }

  giveToDevice(): void {
    if (this.#inner.owner === 'cpu') {
      this.#emitChanges('data');
      this.#trace.emit({ event: 'give-device', buffer: this.id });
    }
    this.#inner.giveToDevice();
  }

  giveToCpu(): void {
    const returned = this.#inner.owner === 'device';
    this.#inner.giveToCpu();
    if (!returned) return;
    this.#trace.emit({ event: 'give-cpu', buffer: this.id });
    this.#emitChanges('result');
  }

  free(): void {
    this.#trace.emit({ event: 'free', buffer: this.id });
    this.#forget();
    this.#inner.free();
  }

  #emitChanges(event: 'data' | 'result'): void {
    const { bytes } = this.#inner;
    for (let from = 0; from < bytes.length; from += CHUNK_BYTES) {
      const chunk = bytes.subarray(from, from + CHUNK_BYTES);
      const [first, end] = changedRange(chunk, this.#known.subarray(from, from + CHUNK_BYTES));
      if (first === end) continue;
      const changed = Buffer.from(chunk.subarray(first, end));
      this.#trace.emit({ event, buffer: this.id, at: from + first, bytes: changed.toString('base64') });
      this.#known.set(changed, from + first);
    }
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
