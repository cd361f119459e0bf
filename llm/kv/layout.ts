import { PynqLlmError } from '../../errors/index.js';
import { wholeLines } from '../kernels/kernels.js';
import { PAGE_TOKENS, type PartName } from './page.js';
import { checkCommonRows, layersOfCommonGroup, type PageShape } from './pool-shape.js';
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
  /** How many of the last tokens each of them sees, 0 for all; none has a window unless given. */
  readonly layerWindows?: readonly number[];
  /** Layers that convolve instead, where there are some. */
  readonly convolution?: ConvolutionShape | undefined;
}

/** Where a layer's keys and values are in a page. */
export interface LayerPlace {
  readonly part: PartName;
  /** The group of the part's layers, which shares a frame, and the layer's place in it. */
  readonly group: number;
  readonly slot: number;
}

export { PAGE_TOKENS, type PartName };

/** Sums of a dot product: assembly/dot.ts. */
const LANES = 16;

/** Tokens that an attention works on at a time: assembly/rows.ts. */
const BLOCK_TOKENS = 4 * PAGE_TOKENS;

/** Products of int16 queries and int8 keys of longer heads could exceed 32 bits (assembly/quantized-page.ts). */
const MOST_INT8_HEAD = 512;

/** Pages of a prompt that are computed in a step beside those of the window: what scheduling counts on. */
const STEP_PAGES = 4;

/**
 * Where things are. Layers that see all tokens, and layers with a window, are divided into groups of as many layers each. Memory
 * is given out in frames of one size: of a group, a page's keys as halves take one frame, its values another, and both as INT8
 * with their scales one. So a complete page has two frames a group, or one with INT8, and those of layers with a window can be
 * given back alone. Rows that convolutions go over have frames of their own, with the layers that see all tokens.
 */
export class KvLayout {
  /** Values of a token's keys in one layer. */
  readonly width: number;
  readonly frameBytes: number;
  /** Groups of each part of a page. */
  readonly groups: Readonly<Record<PartName, number>>;
  /** Frames of a group in a complete page, and until it is settled: halves, and INT8 once it is complete. */
  readonly #groupFrames: 1 | 2;
  readonly #openGroupFrames: 2 | 3;
  /** Where rows of convolutions are, where there are some. */
  readonly rows: RowLayout | undefined;
  /** Bytes from one layer to the next in a frame of halves, and in one of INT8. */
  readonly halvesStride: number;
  readonly bytesStride: number;
  /** Tokens that layers with a window see, the own one among them; 0 where there are none. */
  readonly window: number;
  readonly #places: readonly LayerPlace[];
  readonly #common: PageShape | undefined;

  /**
   * @param common what pages have in common with those of other layers; as these layers need it unless given
   * @throws PynqLlmError LLM_KV_TYPE, LLM_STAGE_UNSUPPORTED
   */
  constructor(
    readonly shape: KvShape,
    readonly type: KvType,
    common?: PageShape,
  ) {
    const { layers, kvHeads, headDim, convolution } = shape;
    const layerWindows = (shape.layerWindows ?? []).slice(0, layers);
    if (type === 'int8' && headDim > MOST_INT8_HEAD)
      throw new PynqLlmError(
        'LLM_KV_TYPE',
        `Heads have ${headDim} values; INT8 keys are for heads of at most ${MOST_INT8_HEAD}.`,
        { context: { headDim, most: MOST_INT8_HEAD } },
      );
    this.#common = common;
    this.window = common?.window ?? layerWindows.reduce((most, window) => Math.max(most, window), 0);
    const windowed = layerWindows.filter((window) => window > 0).length;
    const full = layers - windowed;
    const groupLayers =
      common === undefined ? layersOfGroup(full, windowed) : layersOfCommonGroup({ full, windowed }, common);
    this.groups = common?.groups ?? {
      full: Math.ceil(full / groupLayers),
      windowed: Math.ceil(windowed / groupLayers),
    };
    const placed = { full: 0, windowed: 0 };
    this.#places = Array.from({ length: layers }, (_, layer) => {
      const part = layerWindows[layer] > 0 ? 'windowed' : 'full';
      const at = placed[part]++;
      return { part, group: Math.floor(at / groupLayers), slot: at % groupLayers };
    });
    this.width = kvHeads * headDim;
    this.halvesStride = 2 * PAGE_TOKENS * this.width;
    this.bytesStride = 2 * PAGE_TOKENS * this.width + 8 * kvHeads;
    const groupBytes = groupLayers * (type === 'int8' ? this.bytesStride : this.halvesStride);
    const rowBytes = convolution === undefined ? 0 : Float32Array.BYTES_PER_ELEMENT * convolution.width;
    this.frameBytes = wholeLines(Math.max(groupBytes, rowBytes));
    this.rows = convolution && new RowLayout(convolution, this.frameBytes);
    if (common !== undefined && this.rows !== undefined)
      checkCommonRows({ kept: this.rows.keptFrames, others: this.rows.otherFrames }, common);
    this.#groupFrames = type === 'int8' ? 1 : 2;
    this.#openGroupFrames = type === 'int8' ? 3 : 2;
  }

  placeOf(layer: number): LayerPlace {
    return this.#places[layer];
  }

  /** Frames of a part of a complete page. */
  partFrames(part: PartName): number {
    const rows = part === 'full' ? this.keptRowFrames : 0;
    return this.#groupFrames * this.groups[part] + rows;
  }

  /** Frames of a complete page. */
  get pageFrames(): number {
    return this.partFrames('full') + this.partFrames('windowed');
  }

  /** Frames of a page until it is settled. */
  get openFrames(): number {
    return this.#openGroupFrames * this.#allGroups + this.keptRowFrames + this.rowFrames;
  }

  /** Frames of a page for the rows of convolutions that stay, and for the others until it is settled; 0 where there are none. */
  get keptRowFrames(): number {
    return this.#common?.keptRowFrames ?? this.rows?.keptFrames ?? 0;
  }

  get rowFrames(): number {
    return this.#common?.rowFrames ?? this.rows?.otherFrames ?? 0;
  }

  get #allGroups(): number {
    return this.groups.full + this.groups.windowed;
  }

  /** The first page of which a token at `position` sees something in layers with a window. */
  windowStart(position: number): number {
    return this.window === 0 ? 0 : Math.floor(Math.max(0, position + 1 - this.window) / PAGE_TOKENS);
  }

  /** Pages of a sequence whose part of layers with a window is ever kept at a time, those of a step included. */
  get #windowPages(): number {
    return 1 + Math.ceil((this.window - 1) / PAGE_TOKENS) + STEP_PAGES;
  }

  /** The share of a page that layers with a window have, and of how many pages they keep it; undefined where there are none. */
  get windowed(): { readonly share: number; readonly pages: number } | undefined {
    if (this.window === 0) return undefined;
    return { share: this.partFrames('windowed') / this.pageFrames, pages: this.#windowPages };
  }

  /** Frames of the complete pages of a sequence of `tokens` tokens. */
  completeFramesOf(tokens: number): number {
    const pages = Math.floor(tokens / PAGE_TOKENS);
    return pages * this.partFrames('full') + Math.min(pages, this.#windowPages) * this.partFrames('windowed');
  }

  /** Frames that a sequence of `tokens` tokens needs: its complete pages, and what the open one, or the one just completed, has beside. */
  framesOf(tokens: number): number {
    if (this.type === 'f16') return this.completeFramesOf(tokens + PAGE_TOKENS - 1) + this.rowFrames;
    return this.completeFramesOf(tokens) + this.#halfFrames;
  }

  /** Frames of an open page of INT8. */
  get #halfFrames(): number {
    return 2 * this.#allGroups + this.keptRowFrames + this.rowFrames;
  }

  /** The longest sequence that so many frames hold; any where all layers have a window that fits. */
  tokensIn(frames: number): number {
    const [full, windowed] = [this.partFrames('full'), this.partFrames('windowed')];
    const int8 = this.type === 'int8';
    const left = frames - (int8 ? this.#halfFrames : this.rowFrames);
    if (left < 0) return 0;
    const short = Math.floor(left / (full + windowed));
    const most = this.#windowPages;
    if (short >= most && windowed > 0 && full === 0) return Number.POSITIVE_INFINITY;
    const pages = short < most || windowed === 0 ? short : Math.floor((left - most * windowed) / full);
    return pages * PAGE_TOKENS + (int8 ? PAGE_TOKENS - 1 : 0);
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

/** Layers of a group: of the sizes that leave the fewest places empty the largest, with which tables of pages are shortest. */
function layersOfGroup(full: number, windowed: number): number {
  const most = Math.max(1, full, windowed);
  if (Math.min(full, windowed) === 0) return most;
  let best = { size: most, places: Number.POSITIVE_INFINITY };
  for (let size = Math.min(full, windowed); size > 0; size--) {
    const places = size * (Math.ceil(full / size) + Math.ceil(windowed / size));
    // A group costs a table of its own: a sixteenth more places is not worth it.
    if (places * 16 < best.places * 15) best = { size, places };
  }
  return best.size;
}
