import { Q8K_BYTES, SUPER_BLOCK } from '../../gguf/index.js';

/** Rows first..first+count-1. */
export interface Rows {
  readonly first: number;
  readonly count: number;
}

/** How values are sent: as Q8_K, where whoever receives them would round them so anyway, or as float32. */
export type Wire = 'q8' | 'f32';

/** What one board computes of every layer: rows of each matrix, and the heads that they are of. Plain data. */
export interface TensorShare {
  /** Query heads, and the heads of keys and values that they need: these may be on several boards. */
  readonly heads: Rows;
  readonly kvHeads: Rows;
  /** Rows of attn_output and ffn_down: values of the residual stream. */
  readonly stream: Rows;
  /** Rows of ffn_gate and ffn_up. */
  readonly feedForward: Rows;
  /** Rows of the output matrix. */
  readonly logits: Rows;
}

/** A cut of a model's matrices by rows, and how what each board computes goes to the others. Plain data. */
export interface TensorCut {
  readonly shares: readonly TensorShare[];
  /** What attention gives, and what is inside of a feed-forward. */
  readonly attended: Wire;
  readonly inner: Wire;
}

/** Bytes of so many values on the wire. */
export function wireBytes(values: number, wire: Wire): number {
  return wire === 'q8' ? (values / SUPER_BLOCK) * Q8K_BYTES : 4 * values;
}

/** Rows of a matrix that a board computes. */
export function rowsOf(matrix: string, share: TensorShare, headDim: number): Rows {
  if (/attn_q\.|attn_qkv\.weight:q/.test(matrix)) return timesRows(share.heads, headDim);
  if (/attn_[kv]\.|attn_qkv\.weight:[kv]/.test(matrix)) return timesRows(share.kvHeads, headDim);
  if (/attn_output|ffn_down/.test(matrix)) return share.stream;
  return /ffn_(gate|up)/.test(matrix) ? share.feedForward : share.logits;
}

/** Of things of so many rows each. */
export function timesRows({ first, count }: Rows, rows: number): Rows {
  return { first: first * rows, count: count * rows };
}

/** The largest message of a step of so many columns, in bytes: what a lane has room for. */
export function largestPart(
  { shares, attended, inner }: TensorCut,
  headDim: number,
  columns: number,
): number {
  return shares.reduce(
    (most, { heads, stream, feedForward, logits }) =>
      Math.max(
        most,
        columns * wireBytes(heads.count * headDim, attended),
        columns * wireBytes(feedForward.count, inner),
        columns * wireBytes(Math.max(stream.count, logits.count), 'f32'),
      ),
    0,
  );
}
