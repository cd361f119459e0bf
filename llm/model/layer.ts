import type { AttentionBlock } from './attention-block.js';
import type { Column } from './column.js';

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
    readonly attention: AttentionBlock,
    readonly feedForward: FeedForwardPart,
  ) {}

  /** Core cycles of `n` columns; where it is the last layer, of `n` columns of which `wanted` want logits. */
  coreCycles(n: number, wanted = n): number {
    return this.attention.coreCycles(n, wanted) + this.feedForward.coreCycles(wanted);
  }

  /** Takes `n` columns from `columns[first]` on through the layer, in place in the residual stream. */
  forward(columns: readonly Column[], first: number, n: number): void {
    this.attention.forward(columns, first, n);
    this.feedForward.forward(n);
  }

  /**
   * The last layer's: columns that want no logits leave their keys and values, and nobody asks for more of them.
   * @returns columns that want logits; they come first in the residual stream afterwards, in their order
   */
  forwardLast(columns: readonly Column[], first: number, n: number): number {
    let wanted = 0;
    for (let i = 0; i < n; i++) if (columns[first + i].logits !== undefined) wanted++;
    if (wanted === n) {
      this.forward(columns, first, n);
      return n;
    }
    this.attention.forwardLast(columns, first, n, wanted);
    if (wanted > 0) this.feedForward.forward(wanted);
    return wanted;
  }
}
