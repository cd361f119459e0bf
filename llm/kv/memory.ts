import { PynqLlmError } from '../../errors/index.js';
import { KernelMemory, MOST_KERNEL_BYTES, wholeLines } from '../kernels/kernels.js';
import type { ThreadPool } from '../threads/thread-pool.js';
import { Attention } from './attention.js';
import { type KvLayout, PAGE_TOKENS } from './layout.js';
import type { Page } from './page.js';
import type { RowLayout } from './row-layout.js';

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
    const attention = Attention.bytes(layout, this.maxTokens, maxColumns, threads.size);
    this.#memory = reserve(this.frames * layout.frameBytes + wholeLines(4 * layout.width) + attention);
    this.#row = this.#memory.floats(layout.width);
    this.attention = new Attention(layout, this.#memory, this.maxTokens, maxColumns, threads);
    this.#bytes = this.#memory.bytes(this.frames * layout.frameBytes);
    const { buffer, byteOffset, byteLength: all } = this.#bytes;
    this.#floats = new Float32Array(buffer, byteOffset, all / Float32Array.BYTES_PER_ELEMENT);
  }

  get freeFrames(): number {
    return this.#free.length + this.frames - this.#untouched;
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

  /** Rounds the key and the value of token `slot` of a page to halves: width values from `at` on in each. */
  store(page: Page, layer: number, slot: number, keys: Float32Array, values: Float32Array, at: number): void {
    const { width, halvesStride } = this.layout;
    const { kernels } = this.#memory;
    const offset = layer * halvesStride + 2 * slot * width;
    this.#row.set(keys.subarray(at, at + width));
    kernels.encodeHalves(this.#row.byteOffset, this.addressOf(page.keys) + offset, width);
    this.#row.set(values.subarray(at, at + width));
    kernels.encodeHalves(this.#row.byteOffset, this.addressOf(page.values) + offset, width);
  }

  /**
   * The row of token `slot` that convolutions of a layer go over, in place: of any token where the page is not settled, else of
   * the last ones that {@link keepRows} kept.
   */
  rowOf(page: Page, layer: number, slot: number): Float32Array {
    return page.rows.length > 0 ? this.#openRow(page, layer, slot) : this.#keptRow(page, layer, slot);
  }

  /** Puts the last rows of a layer of a page whose 16 tokens are stored where they stay when it is settled. */
  keepRows(page: Page, layer: number): void {
    for (let slot = this.#rows.firstKept; slot < PAGE_TOKENS; slot++)
      this.#keptRow(page, layer, slot).set(this.#openRow(page, layer, slot));
  }

  get #rows(): RowLayout {
    const { rows } = this.layout;
    if (rows === undefined) throw new Error('only a model that convolves has rows');
    return rows;
  }

  #openRow(page: Page, layer: number, slot: number): Float32Array {
    const { frame, at } = this.#rows.open(layer, slot);
    return this.#floatsAt(page.rows[frame], at);
  }

  #keptRow(page: Page, layer: number, slot: number): Float32Array {
    const frames = this.layout.type === 'int8' ? [page.bytes] : [page.keys, page.values];
    const { frame, at } = this.#rows.kept(layer, slot);
    return this.#floatsAt(frames[frame], at);
  }

  #floatsAt(frame: number, at: number): Float32Array {
    const first = (frame * this.layout.frameBytes + at) / Float32Array.BYTES_PER_ELEMENT;
    return this.#floats.subarray(first, first + this.#rows.shape.width);
  }

  /** Makes INT8 of a layer of a page whose 16 tokens are stored in it. */
  quantize(page: Page, layer: number): void {
    const { halvesStride, bytesStride, shape } = this.layout;
    this.#memory.kernels.quantizePage(
      this.addressOf(page.keys) + layer * halvesStride,
      this.addressOf(page.values) + layer * halvesStride,
      this.addressOf(page.bytes) + layer * bytesStride,
      shape.kvHeads,
      shape.headDim,
    );
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
