import { wholeLines } from '../kernels/kernels.js';
import { PAGE_TOKENS } from './page.js';

/** Layers that convolve over the last tokens instead of attending to all. */
export interface ConvolutionShape {
  readonly layers: number;
  /** Tokens that a convolution goes over, the own one among them; at least 2. */
  readonly taps: number;
  /** Values of a token's row, float32. */
  readonly width: number;
}

/** A row's frame among those of its page, and where it begins there, in bytes. */
interface Place {
  readonly frame: number;
  readonly at: number;
}

/**
 * Where the rows are that convolutions go over, one of each token in each layer that convolves.
 *
 * Until a page is settled it has the rows of all its tokens in frames of their own, so that it can be taken back to any of them.
 * A settled page is followed by whole pages only, whose tokens need no more of it than its last rows: as many as a convolution
 * goes over before its own. These lie behind the page's keys and values, so that they are shared, spilled and thrown out with them.
 */
export class RowLayout {
  /** Bytes of a frame with them. */
  readonly frameBytes: number;
  /** Frames of an open page. */
  readonly openFrames: number;
  /** The first token of a page whose row stays. */
  readonly firstKept: number;
  readonly #rowBytes: number;
  readonly #keptPerFrame: number;
  readonly #openPerFrame: number;

  /**
   * @param pageFrames frames of a complete page
   * @param keyBytes what keys and values take of each; a multiple of 4
   */
  constructor(
    readonly shape: ConvolutionShape,
    pageFrames: number,
    readonly keyBytes: number,
  ) {
    const { layers, taps, width } = shape;
    const kept = Math.min(taps - 1, PAGE_TOKENS);
    this.firstKept = PAGE_TOKENS - kept;
    this.#rowBytes = Float32Array.BYTES_PER_ELEMENT * width;
    this.#keptPerFrame = Math.ceil((layers * kept) / pageFrames);
    this.frameBytes = wholeLines(keyBytes + this.#keptPerFrame * this.#rowBytes);
    this.#openPerFrame = Math.floor(this.frameBytes / this.#rowBytes);
    this.openFrames = Math.ceil((layers * PAGE_TOKENS) / this.#openPerFrame);
  }

  /** Among the frames of an open page. */
  open(layer: number, slot: number): Place {
    return placeOf(layer * PAGE_TOKENS + slot, this.#openPerFrame, this.#rowBytes);
  }

  /** Among the frames of a complete page, of a token from {@link firstKept} on. */
  kept(layer: number, slot: number): Place {
    const kept = PAGE_TOKENS - this.firstKept;
    const { frame, at } = placeOf(layer * kept + slot - this.firstKept, this.#keptPerFrame, this.#rowBytes);
    return { frame, at: this.keyBytes + at };
  }
}

function placeOf(row: number, perFrame: number, rowBytes: number): Place {
  return { frame: Math.floor(row / perFrame), at: (row % perFrame) * rowBytes };
}
