import type { Column } from './column.js';

/** The first half of a layer, which takes earlier tokens into account: attention, or a convolution. */
interface MixerPart {
  coreCycles(n: number, wanted?: number): number;
  forward(columns: readonly Column[], first: number, n: number): void;
  /** Leaves of all `n` columns what later ones need, and only the `wanted` ones that want logits go on, in front. */
  forwardLast(columns: readonly Column[], first: number, n: number, wanted: number): void;
}

/** The second half of a layer, on the first columns of the residual stream. */
interface FeedForwardPart {
  coreCycles(n: number): number;
  forward(n: number): void;
}

/**
 * One transformer layer, whose halves add to the residual stream one after the other. What is added last stays in `update`, until
 * who comes next takes it into the stream.
 */
export class Layer {
  constructor(
    readonly mixer: MixerPart,
    readonly feedForward: FeedForwardPart,
  ) {}

  /** Core cycles of `n` columns; where it is the last layer, of `n` columns of which `wanted` want logits. */
  coreCycles(n: number, wanted = n): number {
    return this.mixer.coreCycles(n, wanted) + this.feedForward.coreCycles(wanted);
  }

  /** Takes `n` columns from `columns[first]` on through the layer, in place in the residual stream. */
  forward(columns: readonly Column[], first: number, n: number): void {
    this.mixer.forward(columns, first, n);
    this.feedForward.forward(n);
  }

  /**
   * The last layer's: columns that want no logits leave what later ones need, and nobody asks for more of them.
   * @returns columns that want logits; they come first in the residual stream afterwards, in their order
   */
  forwardLast(columns: readonly Column[], first: number, n: number): number {
    let wanted = 0;
    for (let i = 0; i < n; i++) if (columns[first + i].logits !== undefined) wanted++;
    if (wanted === n) {
      this.forward(columns, first, n);
      return n;
    }
    this.mixer.forwardLast(columns, first, n, wanted);
    if (wanted > 0) this.feedForward.forward(wanted);
    return wanted;
  }
}
