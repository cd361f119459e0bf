import { PAGE_TOKENS } from './page.js';

/** Layers that convolve over the last tokens instead of attending to all. */
export interface ConvolutionShape {
  readonly layers: number;
  /** Tokens that a convolution goes over, the own one among them; at least 2. */
  readonly taps: number;
  /** Values of a token's row, float32. */
  readonly width: number;
}

/** Where a row begins: in which frame of its kind, and at which byte of it. */
interface RowPlace {
  readonly isKept: boolean;
  readonly frame: number;
  readonly at: number;
}

/**
 * Where the rows are that convolutions go over, one of each token in each layer that convolves.
 *
 * Until a page is settled it has the rows of all its tokens, so that it can be taken back to any of them. A settled page is followed
 * by whole pages only, whose tokens need no more of it than its last rows: as many as a convolution goes over before its own. These
 * stay; the others' frames are given back.
 */
export class RowLayout {
  /** Frames of a page for rows that stay, and for the others. */
  readonly keptFrames: number;
  readonly otherFrames: number;
  /** The first token of a page whose row stays. */
  readonly #firstKept: number;
  readonly #rowBytes: number;
  readonly #perFrame: number;

  /** @param frameBytes at least a row's */
  constructor(
    readonly shape: ConvolutionShape,
    frameBytes: number,
  ) {
    const { layers, taps, width } = shape;
    this.#firstKept = PAGE_TOKENS - Math.min(taps - 1, PAGE_TOKENS);
    this.#rowBytes = Float32Array.BYTES_PER_ELEMENT * width;
    this.#perFrame = Math.floor(frameBytes / this.#rowBytes);
    this.keptFrames = Math.ceil((layers * (PAGE_TOKENS - this.#firstKept)) / this.#perFrame);
    this.otherFrames = Math.ceil((layers * this.#firstKept) / this.#perFrame);
  }

  /** Of a page's `token`th token. */
  placeOf(layer: number, token: number): RowPlace {
    const first = this.#firstKept;
    const isKept = token >= first;
    const row = isKept ? layer * (PAGE_TOKENS - first) + token - first : layer * first + token;
    return { isKept, frame: Math.floor(row / this.#perFrame), at: (row % this.#perFrame) * this.#rowBytes };
  }
}
