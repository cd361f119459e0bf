import { PynqLlmError } from '../../errors/index.js';
import { wholeLines } from '../kernels/kernels.js';
import type { ModelConfig } from '../model/config.js';

/** How keys and values of complete pages are stored; open pages are F16 always. */
export const KV_TYPES = ['f16', 'int8'] as const;
export type KvType = (typeof KV_TYPES)[number];

/** What a cache needs to know of its model. */
export type KvShape = Pick<ModelConfig, 'layers' | 'heads' | 'kvHeads' | 'headDim'>;

/** Tokens of a page: as many as sums of a head during attention, token t adds to lane t mod 16 (assembly/attention.ts). */
export const PAGE_TOKENS = 16;

/** Sums of a dot product: assembly/dot.ts. */
const LANES = 16;

/** Tokens that an attention works on at a time: assembly/rows.ts. */
const BLOCK_TOKENS = 4 * PAGE_TOKENS;

/** Products of int16 queries and int8 keys of longer heads could exceed 32 bits (assembly/quantized-page.ts). */
const MOST_INT8_HEAD = 512;

/**
 * Where things are. Memory is given out in frames of one size: a page's keys of all layers as halves take one frame, its
 * values another, and both as INT8 with their scales one. So a complete F16 page has two frames and an INT8 page one.
 */
export class KvLayout {
  /** Values of a token's keys in one layer. */
  readonly width: number;
  readonly frameBytes: number;
  /** Frames of a complete page. */
  readonly pageFrames: 1 | 2;
  /** Frames of a page until it is settled: halves, and INT8 once it is complete. */
  readonly openFrames: 2 | 3;
  /** Bytes from one layer to the next in a frame of halves, and in one of INT8. */
  readonly halvesStride: number;
  readonly bytesStride: number;

  /** @throws PynqLlmError LLM_KV_TYPE */
  constructor(
    readonly shape: KvShape,
    readonly type: KvType,
  ) {
    const { layers, kvHeads, headDim } = shape;
    if (type === 'int8' && headDim > MOST_INT8_HEAD)
      throw new PynqLlmError(
        'LLM_KV_TYPE',
        `Heads have ${headDim} values; INT8 keys are for heads of at most ${MOST_INT8_HEAD}.`,
        { context: { headDim, most: MOST_INT8_HEAD } },
      );
    this.width = kvHeads * headDim;
    this.halvesStride = 2 * PAGE_TOKENS * this.width;
    this.bytesStride = 2 * PAGE_TOKENS * this.width + 8 * kvHeads;
    this.frameBytes = wholeLines(layers * (type === 'int8' ? this.bytesStride : this.halvesStride));
    this.pageFrames = type === 'int8' ? 1 : 2;
    this.openFrames = type === 'int8' ? 3 : 2;
  }

  /** Frames that a sequence of `tokens` tokens needs: its complete pages, and halves of the open one or the one just completed. */
  framesOf(tokens: number): number {
    const pages = Math.ceil(tokens / PAGE_TOKENS);
    return this.type === 'f16' ? 2 * pages : Math.floor(tokens / PAGE_TOKENS) + 2;
  }

  /** The longest sequence that so many frames hold. */
  tokensIn(frames: number): number {
    if (this.type === 'f16') return Math.floor(frames / 2) * PAGE_TOKENS;
    return frames < 2 ? 0 : (frames - 2) * PAGE_TOKENS + PAGE_TOKENS - 1;
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
