import type { Board, DmaBuffer } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import {
  headerOf,
  parseLine,
  type TraceEvent,
  type TraceHeader,
  type TraceValue,
  traceEvent,
  traceHeader,
} from './events.js';
import { comparedBits, TraceRegisters } from './registers.js';

/** Where a device first did something else than the trace says. */
export interface TraceDifference {
  /** Line of the trace, from 1; the header is line 1. */
  readonly line: number;
  /** What was compared, such as `dma0 MM2S_DMASR` or `byte 12 of buffer 3`. */
  readonly what: string;
  readonly expected: string;
  readonly got: string;
}

export interface ReplayResult {
  /** Events replayed. */
  readonly events: number;
  /** Undefined where the device did the same throughout. */
  readonly difference: TraceDifference | undefined;
}

/**
 * Replays a trace on a device and stops at the first difference. Results are compared bit for bit, NaN as a class; registers in the
 * bits that have to be the same on every device; counters are not compared.
 *
 * @param lines of the trace, without line ends
 * @param board nobody else uses it meanwhile; buffers of the trace are freed at the end
 * @throws PynqLlmError DRIVER_BAD_TRACE, DRIVER_TRACE_MISMATCH
 */
export function replayTrace(lines: Iterable<string>, board: Board): ReplayResult {
  const player = new Player(board);
  let line = 0;
  try {
    for (const text of lines) {
      line++;
      if (text.trim() === '') continue;
      if (line === 1) {
        checkHeader(parseLine(traceHeader, text, line), board);
        continue;
      }
      const difference = player.play(parseLine(traceEvent, text, line), line);
      if (difference) return { events: line - 1, difference: { line, ...difference } };
    }
    if (line === 0) throw new PynqLlmError('DRIVER_BAD_TRACE', 'The trace is empty.');
    const difference = player.compareReturned();
    return { events: line - 1, difference: difference && { line, ...difference } };
  } finally {
    player.freeAll();
  }
}

type Difference = Omit<TraceDifference, 'line'> | undefined;

class Player {
  readonly #registers: TraceRegisters;
  readonly #buffers = new Map<number, DmaBuffer>();
  /** Contents of each buffer as the trace has them. */
  readonly #known = new Map<number, Uint8Array>();
  /** The range that was handed back last and whose contents are still to be compared. */
  #returned: { readonly id: number; readonly at: number; readonly bytes: number } | undefined;
  readonly #board: Board;

  constructor(board: Board) {
    this.#board = board;
    this.#registers = new TraceRegisters(board.description);
  }

  freeAll(): void {
    for (const buffer of this.#buffers.values()) buffer.free();
    this.#buffers.clear();
  }

  /** @returns the first difference between what the device just wrote and the trace */
  play(event: TraceEvent, line: number): Difference {
    const difference = event.event === 'result' ? undefined : this.compareReturned();
    return difference ?? this.#perform(event, line);
  }

  #perform(event: TraceEvent, line: number): Difference {
    switch (event.event) {
      case 'allocate': {
        const buffer = this.#board.allocate(
          event.bytes,
          event.align === undefined ? {} : { align: event.align },
        );
        buffer.write(0, new Uint8Array(event.bytes));
        this.#buffers.set(event.buffer, buffer);
        this.#known.set(event.buffer, new Uint8Array(event.bytes));
        return undefined;
      }
      case 'data': {
        const buffer = this.#buffer(event.buffer, line);
        this.#learn(event, line);
        buffer.write(event.at, Buffer.from(event.bytes, 'base64'));
        return undefined;
      }
      case 'give-device': {
        const { buffer, at, bytes } = this.#range(event, line);
        buffer.giveToDevice(at, bytes);
        return undefined;
      }
      case 'give-cpu': {
        const { buffer, at, bytes } = this.#range(event, line);
        buffer.giveToCpu(at, bytes);
        this.#returned = { id: event.buffer, at, bytes };
        return undefined;
      }
      case 'result':
        this.#learn(event, line);
        return undefined;
      case 'free':
        this.#buffer(event.buffer, line).free();
        this.#buffers.delete(event.buffer);
        this.#known.delete(event.buffer);
        return undefined;
      case 'write':
        this.#board
          .window(event.window)
          .write32(this.#offset(event, line), this.#physical(event.value, line));
        return undefined;
      case 'read':
        return this.#compareRegister(event, line, 0);
      case 'poll':
        return this.#compareRegister(event, line, event.timeoutUs);
      case 'timeout':
        this.#board.waitUntil(() => false, event.timeoutUs);
        return undefined;
      case 'reset-logic':
        this.#board.resetLogic();
        return undefined;
      case 'faults':
        this.#board.takeFaults();
        return undefined;
    }
  }

  #compareRegister(
    event: Extract<TraceEvent, { event: 'read' | 'poll' }>,
    line: number,
    timeoutUs: number,
  ): Difference {
    const window = this.#board.window(event.window);
    const offset = this.#offset(event, line);
    const bits = comparedBits(event.window, event.register);
    const expected = (this.#physical(event.value, line) & bits) >>> 0;
    let got = 0;
    const same = () => {
      got = (window.read32(offset) & bits) >>> 0;
      return got === expected;
    };
    if (timeoutUs > 0 ? this.#board.waitUntil(same, timeoutUs) : same()) return undefined;
    return { what: `${event.window} ${event.register}`, expected: hex(expected), got: hex(got) };
  }

  #offset(event: { window: string; register: string }, line: number): number {
    const offset = this.#registers.offsetOf(event.window, event.register);
    if (offset === undefined)
      throw badTrace(line, `this device has no register ${event.window} ${event.register}`);
    return offset;
  }

  #physical(value: TraceValue, line: number): number {
    return typeof value === 'number' ? value : this.#buffer(value.buffer, line).physicalAddress + value.at;
  }

  #buffer(id: number, line: number): DmaBuffer {
    const buffer = this.#buffers.get(id);
    if (!buffer) throw badTrace(line, `buffer ${id} was not allocated`);
    return buffer;
  }

  #range(
    { buffer: id, at = 0, bytes }: Extract<TraceEvent, { event: 'give-device' | 'give-cpu' }>,
    line: number,
  ): { buffer: DmaBuffer; at: number; bytes: number } {
    const buffer = this.#buffer(id, line);
    const length = bytes ?? buffer.byteLength - at;
    if (length < 0 || at + length > buffer.byteLength)
      throw badTrace(line, `buffer ${id} has only ${buffer.byteLength} bytes`);
    return { buffer, at, bytes: length };
  }

  #learn(event: { buffer: number; at: number; bytes: string }, line: number): void {
    const known = this.#known.get(event.buffer);
    if (!known) throw badTrace(line, `buffer ${event.buffer} was not allocated`);
    const bytes = Buffer.from(event.bytes, 'base64');
    if (event.at + bytes.length > known.length)
      throw badTrace(line, `buffer ${event.buffer} has only ${known.length} bytes`);
    known.set(bytes, event.at);
  }

  /** Compares all of the range that came back last, once the trace has told all that changed in it. */
  compareReturned(): Difference {
    const returned = this.#returned;
    this.#returned = undefined;
    if (returned === undefined) return undefined;
    const { id, at, bytes } = returned;
    const buffer = this.#buffers.get(id);
    const known = this.#known.get(id)?.subarray(at, at + bytes);
    if (!buffer || !known) return undefined;
    const got = new Uint8Array(bytes);
    buffer.read(at, got);
    if (Buffer.compare(got, known) === 0) return undefined;
    const first = firstDifference(got, known);
    if (first === undefined) return undefined;
    const what = `byte ${at + first} of buffer ${id}`;
    return { what, expected: hex(known[first]), got: hex(got[first]) };
  }
}

/** NaN results are one class: sign and payload differ between devices, and between runs of the mock (manual, "Arithmetic"). */
function firstDifference(got: Uint8Array, expected: Uint8Array): number | undefined {
  for (let at = 0; at < got.length; at++) {
    if (got[at] === expected[at]) continue;
    const word = at - (at % 4);
    if (!isNaNAt(got, word) || !isNaNAt(expected, word)) return at;
    at = word + 3;
  }
  return undefined;
}

function isNaNAt(bytes: Uint8Array, at: number): boolean {
  if (at + 4 > bytes.length) return false;
  return Number.isNaN(new DataView(bytes.buffer, bytes.byteOffset + at, 4).getFloat32(0, true));
}

function checkHeader(header: TraceHeader, board: Board): void {
  const own = headerOf(board.description);
  const missing = header.windows.filter((name) => !own.windows.includes(name));
  if (header.revision === own.revision && header.lanes === own.lanes && missing.length === 0) return;
  throw new PynqLlmError(
    'DRIVER_TRACE_MISMATCH',
    `The trace is of a ${header.revision} core with ${header.lanes} lanes, ${own.board} has ${own.revision} with ${own.lanes}${missing.length > 0 ? ` and lacks the windows ${missing.join(', ')}` : ''}.`,
    { context: { recorded: header.board, device: own.board } },
  );
}

function badTrace(line: number, what: string): PynqLlmError {
  return new PynqLlmError('DRIVER_BAD_TRACE', `Line ${line} of the trace cannot be replayed: ${what}.`, {
    context: { line },
  });
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
