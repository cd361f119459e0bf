import { PynqLlmError } from '../errors/index.js';
import type { ByteSource } from './byte-source.js';
import { MAX_BOXED_ELEMENTS, MAX_HEADER_BYTES } from './limits.js';

/** Bytes fetched at a time: a header costs a few reads, and never more than one window beyond its end. */
const WINDOW = 2 ** 20;

/**
 * Reads a header front to back: little-endian, through a window, and never beyond the end of the source.
 * `what` names for the error what the bytes were for.
 */
export class HeaderCursor {
  readonly #source: ByteSource;
  #window = new Uint8Array(0);
  #view = new DataView(this.#window.buffer);
  #windowStart = 0;
  #position = 0;
  #boxed = 0;
  // A byte-order mark is part of a token like any other character; bytes that are not UTF-8 become U+FFFD.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Bytes read so far, counted from the start of the file. */
  get position(): number {
    return this.#position;
  }

  get remaining(): number {
    return this.#source.size - this.#position;
  }

  u8(what: string): number {
    const at = this.#take(1, what);
    return this.#view.getUint8(at);
  }

  i8(what: string): number {
    const at = this.#take(1, what);
    return this.#view.getInt8(at);
  }

  u16(what: string): number {
    const at = this.#take(2, what);
    return this.#view.getUint16(at, true);
  }

  i16(what: string): number {
    const at = this.#take(2, what);
    return this.#view.getInt16(at, true);
  }

  u32(what: string): number {
    const at = this.#take(4, what);
    return this.#view.getUint32(at, true);
  }

  i32(what: string): number {
    const at = this.#take(4, what);
    return this.#view.getInt32(at, true);
  }

  f32(what: string): number {
    const at = this.#take(4, what);
    return this.#view.getFloat32(at, true);
  }

  f64(what: string): number {
    const at = this.#take(8, what);
    return this.#view.getFloat64(at, true);
  }

  u64(what: string): bigint {
    const at = this.#take(8, what);
    return this.#view.getBigUint64(at, true);
  }

  i64(what: string): bigint {
    const at = this.#take(8, what);
    return this.#view.getBigInt64(at, true);
  }

  /**
   * A 64-bit count of things that take at least `itemBytes` each, checked against what the file has left, so that
   * the caller may allocate for it.
   * @throws PynqLlmError GGUF_COUNT_TOO_LARGE
   */
  count(itemBytes: number, what: string): number {
    const at = this.#take(8, what);
    // Nearly all counts are the lengths of a vocabulary's texts: two words of each are a tenth of a bigint.
    const [low, high] = [this.#view.getUint32(at, true), this.#view.getUint32(at + 4, true)];
    if (high === 0 && low * itemBytes <= this.remaining) return low;
    const offset = this.#position - 8;
    const count = this.#view.getBigUint64(at, true);
    if (count <= BigInt(Math.floor(this.remaining / itemBytes))) return Number(count);
    throw new PynqLlmError(
      'GGUF_COUNT_TOO_LARGE',
      `The ${what} at byte ${offset} is ${count}, which takes at least ${itemBytes} bytes each, but only ${this.remaining} bytes follow.`,
      {
        context: { offset, count: count.toString(), remaining: this.remaining },
      },
    );
  }

  /** A string: 64-bit length, then UTF-8. */
  string(what: string): string {
    return this.#text(this.count(1, `length of ${what}`), what);
  }

  /**
   * A string that names something: not empty, and at most `limit` bytes.
   * @throws PynqLlmError GGUF_BAD_NAME
   */
  name(limit: number, what: string): string {
    const offset = this.#position;
    const length = this.count(1, `length of a ${what}`);
    if (length === 0 || length > limit) {
      throw new PynqLlmError(
        'GGUF_BAD_NAME',
        `A ${what} at byte ${offset} has ${length} bytes; 1 to ${limit} are allowed.`,
        {
          context: { offset, length, limit },
        },
      );
    }
    return this.#text(length, what);
  }

  /** `length` bytes as they are: a copy, so that it can be viewed as numbers of up to 8 bytes. */
  bytes(length: number, what: string): Uint8Array<ArrayBuffer> {
    const start = this.#take(length, what);
    return this.#window.slice(start, start + length);
  }

  /**
   * Counts array elements that take a JavaScript value each.
   * @throws PynqLlmError GGUF_HEADER_TOO_LARGE
   */
  spend(elements: number, what: string): void {
    this.#boxed += elements;
    if (this.#boxed > MAX_BOXED_ELEMENTS) {
      throw new PynqLlmError(
        'GGUF_HEADER_TOO_LARGE',
        `With ${what} at byte ${this.#position} the metadata have more than ${MAX_BOXED_ELEMENTS} array elements.`,
        {
          context: { offset: this.#position, limit: MAX_BOXED_ELEMENTS },
        },
      );
    }
  }

  #text(length: number, what: string): string {
    const start = this.#take(length, what);
    return this.#decoder.decode(this.#window.subarray(start, start + length));
  }

  /** Steps over `length` bytes and returns where they are in the window. */
  #take(length: number, what: string): number {
    if (length > this.remaining) {
      throw new PynqLlmError(
        'GGUF_TRUNCATED',
        `The file ends after ${this.#source.size} bytes, within the ${what} at byte ${this.#position}.`,
        {
          context: { offset: this.#position, size: this.#source.size },
        },
      );
    }
    if (this.#position + length > MAX_HEADER_BYTES) {
      throw new PynqLlmError(
        'GGUF_HEADER_TOO_LARGE',
        `The ${what} at byte ${this.#position} would take the header past ${MAX_HEADER_BYTES} bytes.`,
        {
          context: { offset: this.#position, limit: MAX_HEADER_BYTES },
        },
      );
    }
    if (this.#position + length > this.#windowStart + this.#window.length)
      this.#fetch(Math.max(length, WINDOW));
    const start = this.#position - this.#windowStart;
    this.#position += length;
    return start;
  }

  #fetch(length: number): void {
    const window = new Uint8Array(Math.min(length, this.remaining));
    this.#source.readInto(this.#position, window);
    this.#window = window;
    this.#view = new DataView(window.buffer);
    this.#windowStart = this.#position;
  }
}
