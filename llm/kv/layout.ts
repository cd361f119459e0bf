import { PynqLlmError } from '../../errors/index.js';
import { wholeLines } from '../kernels/kernels.js';
import { PAGE_TOKENS } from './page.js';
import { type ConvolutionShape, RowLayout } from './row-layout.js';

/** How keys and values of complete pages are stored; open pages are F16 always. */
export const KV_TYPES = ['f16', 'int8'] as const;
export type KvType = (typeof KV_TYPES)[number];

/** What a cache needs to know of its model. */
export interface KvShape {
  /** Layers that keep keys and values. */
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Layers that convolve instead, where there are some. */
  readonly convolution?: ConvolutionShape | undefined;
}

export { PAGE_TOKENS };

/** Sums of a dot product: assembly/dot.ts. */
const LANES = 16;

/** Tokens that an attention works on at a time: assembly/rows.ts. */
const BLOCK_TOKENS = 4 * PAGE_TOKENS;

/** Products of int16 queries and int8 keys of longer heads could exceed 32 bits (assembly/quantized-page.ts). */
const MOST_INT8_HEAD = 512;

/**
 * Where things are. Memory is given out in frames of one size: a page's keys of all layers as halves take one frame, its
 * values another, and both as INT8 with their scales one. So a complete F16 page has two frames and an INT8 page one. What
 * convolutions need of a complete page lies in its frames too, behind keys and values; see {@link RowLayout}.
 */
export class KvLayout {
  /** Values of a token's keys in one layer. */
  readonly width: number;
  readonly frameBytes: number;
  /** Frames of a complete page. */
  readonly pageFrames: 1 | 2;
  /** Frames of a page until it is settled: halves, INT8 once it is complete, and {@link rowFrames}. */
  readonly openFrames: number;
  /** Frames among these for the rows that convolutions go over; 0 where none does. */
  readonly rowFrames: number;
  readonly rows: RowLayout | undefined;
  /** Bytes from one layer to the next in a frame of halves, and in one of INT8. */
  readonly halvesStride: number;
  readonly bytesStride: number;

  /** @throws PynqLlmError LLM_KV_TYPE */
  constructor(
    readonly shape: KvShape,
    readonly type: KvType,
  ) {
    const { layers, kvHeads, headDim, convolution } = shape;
    if (type === 'int8' && headDim > MOST_INT8_HEAD)
      throw new PynqLlmError(
        'LLM_KV_TYPE',
        `Heads have ${headDim} values; INT8 keys are for heads of at most ${MOST_INT8_HEAD}.`,
        { context: { headDim, most: MOST_INT8_HEAD } },
      );
    this.width = kvHeads * headDim;
    this.halvesStride = 2 * PAGE_TOKENS * this.width;
    this.bytesStride = 2 * PAGE_TOKENS * this.width + 8 * kvHeads;
    const keyBytes = layers * (type === 'int8' ? this.bytesStride : this.halvesStride);
    this.pageFrames = type === 'int8' ? 1 : 2;
    this.rows = convolution && new RowLayout(convolution, this.pageFrames, keyBytes);
    this.frameBytes = wholeLines(this.rows?.frameBytes ?? keyBytes);
    this.rowFrames = this.rows?.openFrames ?? 0;
    this.openFrames = (type === 'int8' ? 3 : 2) + this.rowFrames;
  }

  /** Frames that a sequence of `tokens` tokens needs: its complete pages, and what the open one, or the one just completed, has beside. */
  framesOf(tokens: number): number {
    const pages = Math.ceil(tokens / PAGE_TOKENS);
    const frames = this.type === 'f16' ? 2 * pages : Math.floor(tokens / PAGE_TOKENS) + 2;
    return frames + this.rowFrames;
  }

  /** The longest sequence that so many frames hold. */
  tokensIn(frames: number): number {
    const rest = Math.max(0, frames - this.rowFrames);
    if (this.type === 'f16') return Math.floor(rest / 2) * PAGE_TOKENS;
    return rest < 2 ? 0 : (rest - 2) * PAGE_TOKENS + PAGE_TOKENS - 1;
  }

  /** Bytes of what an attention works with, as assembly/attention.ts lays it out: rows are padded to whole rounds of lanes. */
  scratchBytes(maxTokens: number): number {
    const { heads, kvHeads, headDim } = this.shape;
    const group = heads / kvHeads;
    const row = 4 * LANES * Math.ceil(headDim / LANES);
    const rows = BLOCK_TOKENS * row;
    const queries = group * (row + row / 2) + 4 * 4 * Math.ceil(group / 4);
    const sums = group * LANES * row;
    const scores = group * 4 * BLOCK_TOKENS * Math.ceil(maxTokens / BLOCK_TOKENS);
    return rows + queries + sums + scores;
  }
}
