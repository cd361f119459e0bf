import { PynqLlmError } from '../../errors/index.js';
import { KernelMemory, MOST_KERNEL_BYTES, wholeLines } from '../kernels/kernels.js';
import type { ThreadPool } from '../threads/thread-pool.js';
import { Attention } from './attention.js';
import type { KvLayout } from './layout.js';
import type { Page, PagePart } from './page.js';

/**
 * The frames of a pool, and the kernels that write and read them. The memory is reserved at once and never grows; the
 * operating system backs what is touched.
 */
export class KvMemory {
  readonly layout: KvLayout;
  readonly frames: number;
  /** The longest sequence that there is room for. */
  readonly maxTokens: number;
  readonly #memory: KernelMemory;
  readonly #bytes: Uint8Array;
  /** The same. */
  readonly #floats: Float32Array;
  readonly attention: Attention;
  /** The key or value row at hand. */
  readonly #row: Float32Array;
  readonly #free: number[] = [];
  /** Frames from here on have never been taken. */
  #untouched = 0;

  /** Bytes of kernel memory; the parameters are the constructor's. */
  static bytes(
    layout: KvLayout,
    byteLength: number,
    contextLength: number,
    maxColumns: number,
    threads: number,
  ): number {
    const frames = Math.floor(byteLength / layout.frameBytes);
    const maxTokens = Math.min(contextLength, layout.tokensIn(frames));
    const attention = Attention.bytes(layout, maxTokens, maxColumns, threads);
    return frames * layout.frameBytes + wholeLines(4 * layout.width) + attention;
  }

  /**
   * @param maxColumns most columns whose attention is computed together, by `threads`
   * @throws PynqLlmError LLM_KV_MEMORY where the frames do not hold a page, or more is asked than there is
   */
  constructor(
    layout: KvLayout,
    byteLength: number,
    contextLength: number,
    maxColumns: number,
    threads: ThreadPool,
  ) {
    this.layout = layout;
    this.frames = Math.floor(byteLength / layout.frameBytes);
    this.maxTokens = Math.min(contextLength, layout.tokensIn(this.frames));
    if (this.maxTokens < 1)
      throw new PynqLlmError(
        'LLM_KV_MEMORY',
        `${byteLength} bytes hold no page of keys and values, which takes ${layout.framesOf(1) * layout.frameBytes}.`,
        { context: { byteLength, frameBytes: layout.frameBytes } },
      );
    this.#memory = reserve(KvMemory.bytes(layout, byteLength, contextLength, maxColumns, threads.size));
    this.#row = this.#memory.floats(layout.width);
    this.attention = new Attention(layout, this.#memory, this.maxTokens, maxColumns, threads);
    this.#bytes = this.#memory.bytes(this.frames * layout.frameBytes);
    const { buffer, byteOffset, byteLength: all } = this.#bytes;
    this.#floats = new Float32Array(buffer, byteOffset, all / Float32Array.BYTES_PER_ELEMENT);
  }

  get freeFrames(): number {
    return this.#free.length + this.frames - this.#untouched;
  }

  /** Complete pages that there is room for. */
  get completePages(): number {
    return Math.floor(this.frames / this.layout.pageFrames);
  }

  /** Only where a frame is free. Its content is whatever it was. */
  take(): number {
    return this.#free.pop() ?? this.#untouched++;
  }

  giveBack(frame: number): void {
    this.#free.push(frame);
  }

  copy(from: number, to: number): void {
    this.contentOf(to).set(this.contentOf(from));
  }

  /** All bytes of a frame, in place. */
  contentOf(frame: number): Uint8Array {
    const { frameBytes } = this.layout;
    return this.#bytes.subarray(frame * frameBytes, (frame + 1) * frameBytes);
  }

  /** Address of a frame for a page table. */
  addressOf(frame: number): number {
    return this.#bytes.byteOffset + frame * this.layout.frameBytes;
  }

  /** Rounds the key and the value of a page's `token`th token to halves: width values from `at` on in each. */
  store(
    page: Page,
    layer: number,
    token: number,
    keys: Float32Array,
    values: Float32Array,
    at: number,
  ): void {
    const { width, halvesStride } = this.layout;
    const { kernels } = this.#memory;
    const { part, group, slot } = this.#place(page, layer);
    const offset = slot * halvesStride + 2 * token * width;
    this.#row.set(keys.subarray(at, at + width));
    kernels.encodeHalves(this.#row.byteOffset, this.addressOf(part.keys[group]) + offset, width);
    this.#row.set(values.subarray(at, at + width));
    kernels.encodeHalves(this.#row.byteOffset, this.addressOf(part.values[group]) + offset, width);
  }

  /**
   * The row of a page's `token`th token that convolutions of a layer go over, in place: of any token where the page is not settled,
   * else of the last ones.
   */
  rowOf({ full }: Page, layer: number, token: number): Float32Array {
    const { rows, frameBytes } = this.layout;
    if (rows === undefined) throw new Error('only a model that convolves has rows');
    const { isKept, frame, at } = rows.placeOf(layer, token);
    const start = (isKept ? full.keptRows : full.rows)[frame] * frameBytes + at;
    const first = start / Float32Array.BYTES_PER_ELEMENT;
    return this.#floats.subarray(first, first + rows.shape.width);
  }

  /** Makes INT8 of a layer of a page whose 16 tokens are stored in it. */
  quantize(page: Page, layer: number): void {
    const { halvesStride, bytesStride, shape } = this.layout;
    const { part, group, slot } = this.#place(page, layer);
    this.#memory.kernels.quantizePage(
      this.addressOf(part.keys[group]) + slot * halvesStride,
      this.addressOf(part.values[group]) + slot * halvesStride,
      this.addressOf(part.bytes[group]) + slot * bytesStride,
      shape.kvHeads,
      shape.headDim,
    );
  }

  #place(page: Page, layer: number): { part: PagePart; group: number; slot: number } {
    const { part: name, group, slot } = this.layout.placeOf(layer);
    const part = page[name];
    if (part === undefined) throw new Error('a page that is written has all its parts');
    return { part, group, slot };
  }
}

function reserve(byteLength: number): KernelMemory {
  const refuse = (cause?: unknown): PynqLlmError =>
    new PynqLlmError(
      'LLM_KV_MEMORY',
      `Keys and values are to have ${byteLength} bytes, more than there are.`,
      { context: { byteLength }, cause },
    );
  if (byteLength > MOST_KERNEL_BYTES) throw refuse();
  try {
    return new KernelMemory(byteLength);
  } catch (error) {
    if (error instanceof RangeError) throw refuse(error);
    throw error;
  }
}
