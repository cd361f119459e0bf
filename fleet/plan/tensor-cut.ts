import { PynqLlmError } from '../../errors/index.js';
import { SUPER_BLOCK } from '../../gguf/index.js';
import { type TensorCut, takesQ8 } from '../../llm/index.js';
import type { FleetModel } from './fleet-model.js';
import { matricesOf } from './matrices-of.js';
import { cutRows } from './row-cut.js';

/** Parts of a layer that can be cut. */
const KNOWN = /^blk\.\d+\.(attn_[qkv]|attn_output|ffn_(gate|up|down)|attn_qkv)\.weight(:\w+)?$/;

/**
 * All ways to cut a model over boards that are worth a look: the inner values of the feed-forward in whole super-blocks, which can
 * be sent as Q8_K, or evenly, which cannot.
 * @param speeds of the boards, relative to each other
 * @throws PynqLlmError FLEET_TENSOR_UNSUPPORTED
 */
export function tensorCuts(
  { name, memory, step, joinsHeads }: FleetModel,
  speeds: readonly number[],
): TensorCut[] {
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
  if (joinsHeads) throw refuse('a norm goes over the queries of all heads together');
  const group = heads / kvHeads;
  const ofHeads = cutRows(heads, speeds);
  const whole = ofHeads.every(({ first, count }) =>
    [first, count].every((n) => (n * headDim) % SUPER_BLOCK === 0),
  );
  const rounds = (matrix: RegExp) =>
    step.layers.flatMap(matricesOf).every(({ name, type }) => !matrix.test(name) || takesQ8(type));
  const [outputRounds, downRounds] = [rounds(/attn_output/), rounds(/ffn_down/)];
  const cutBy = (unit: number): TensorCut => {
    const inner = cutRows(feedForward, speeds, unit);
    const [stream, logits] = [cutRows(embedding, speeds), cutRows(vocabulary, speeds)];
    return {
      attended: whole && outputRounds ? 'q8' : 'f32',
      inner: unit === SUPER_BLOCK && feedForward % SUPER_BLOCK === 0 && downRounds ? 'q8' : 'f32',
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
