import { PynqLlmError } from '../../errors/index.js';
import { Q8K_BYTES, SUPER_BLOCK } from '../../gguf/index.js';
import type { LayerShape } from '../../llm/index.js';
import type { FleetModel } from './fleet-model.js';
import { cutRows, type Rows } from './row-cut.js';

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

/** A cut of a model's matrices by rows, and how what each board computes goes to the others. */
export interface TensorCut {
  readonly shares: readonly TensorShare[];
  /** What attention gives, and what is inside of a feed-forward. */
  readonly attended: Wire;
  readonly inner: Wire;
}

/** Parts of a layer that can be cut. */
const KNOWN = /^blk\.\d+\.(attn_[qkv]|attn_output|ffn_(gate|up|down)|attn_qkv)\.weight(:\w+)?$/;

/**
 * All ways to cut a model over boards that are worth a look: the inner values of the feed-forward in whole super-blocks, which can
 * be sent as Q8_K, or evenly, which cannot.
 * @param speeds of the boards, relative to each other
 * @throws PynqLlmError FLEET_TENSOR_UNSUPPORTED
 */
export function tensorCuts({ name, memory, step }: FleetModel, speeds: readonly number[]): TensorCut[] {
  const { heads, kvHeads, headDim, embedding, feedForward, vocabulary } = memory;
  const refuse = (why: string) =>
    new PynqLlmError(
      'FLEET_TENSOR_UNSUPPORTED',
      `${name} cannot be cut by rows over ${speeds.length} boards: ${why}.`,
      {
        context: { model: name, boards: speeds.length },
      },
    );
  if (speeds.length < 2 || speeds.length > 8) throw refuse('2 to 8 boards exchange what they compute');
  if (heads < speeds.length) throw refuse(`it has ${heads} heads`);
  const odd = step.layers.flatMap(matricesOf).find((matrix) => !KNOWN.test(matrix.name));
  if (odd !== undefined) throw refuse(`it is not known how ${odd.name} would be cut`);
  const group = heads / kvHeads;
  const ofHeads = cutRows(heads, speeds);
  const whole = ofHeads.every(({ first, count }) =>
    [first, count].every((n) => (n * headDim) % SUPER_BLOCK === 0),
  );
  const cutBy = (unit: number): TensorCut => {
    const inner = cutRows(feedForward, speeds, unit);
    const [stream, logits] = [cutRows(embedding, speeds), cutRows(vocabulary, speeds)];
    return {
      attended: whole ? 'q8' : 'f32',
      inner: unit === SUPER_BLOCK && feedForward % SUPER_BLOCK === 0 ? 'q8' : 'f32',
      shares: ofHeads.map((own, i) => {
        const first = Math.floor(own.first / group);
        const end = Math.ceil((own.first + own.count) / group);
        return {
          heads: own,
          kvHeads: { first, count: end - first },
          stream: stream[i]!,
          feedForward: inner[i]!,
          logits: logits[i]!,
        };
      }),
    };
  };
  return [cutBy(SUPER_BLOCK), cutBy(1)];
}

/** Bytes of so many values on the wire. */
export function wireBytes(values: number, wire: Wire): number {
  return wire === 'q8' ? (values / SUPER_BLOCK) * Q8K_BYTES : 4 * values;
}

/** Rows of a matrix that a board computes. */
export function rowsOf(matrix: string, share: TensorShare, headDim: number): Rows {
  const heads = ({ first, count }: Rows) => ({ first: first * headDim, count: count * headDim });
  if (/attn_q\.|attn_qkv\.weight:q/.test(matrix)) return heads(share.heads);
  if (/attn_[kv]\.|attn_qkv\.weight:[kv]/.test(matrix)) return heads(share.kvHeads);
  if (/attn_output|ffn_down/.test(matrix)) return share.stream;
  return /ffn_(gate|up)/.test(matrix) ? share.feedForward : share.logits;
}

function matricesOf({ always, query, after, experts }: LayerShape) {
  return [
    ...always,
    ...query,
    ...after.flat(),
    ...experts.flatMap(({ gateUp, down }) => [...gateUp, ...down]),
  ];
}
