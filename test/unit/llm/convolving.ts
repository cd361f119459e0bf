import {
  bytesSource,
  GgmlType,
  type GgufEntry,
  type GgufFile,
  openGguf,
  type TensorToWrite,
  writeGguf,
} from '../../../gguf/index.js';
import { normTensor, randomTensor } from '../../../gguf/synthetic/random-tensor.js';
import { syntheticVocabulary } from '../../../gguf/synthetic/vocabulary.js';

/** A model with layers that convolve, as LFM2's. */
export interface ConvolvingModel {
  /** Of each layer whether it convolves; the others attend. */
  readonly convolves: readonly boolean[];
  /** Tokens that a convolution goes over. */
  readonly taps: number;
  /** Of all weights, those of the oldest tokens that are zero. */
  readonly silentTaps: number;
  readonly embedding: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly feedForward: number;
  readonly vocabulary: number;
  readonly contextLength: number;
  readonly type: GgmlType;
  /** Layers from this one on add nothing: what the model computes is what those before it compute. */
  readonly idleFrom: number;
  readonly seed: number;
}

const USUAL: ConvolvingModel = {
  convolves: [true, false, true],
  taps: 3,
  silentTaps: 0,
  embedding: 32,
  heads: 4,
  kvHeads: 2,
  feedForward: 32,
  vocabulary: 260,
  contextLength: 128,
  type: GgmlType.F32,
  idleFrom: Number.POSITIVE_INFINITY,
  seed: 5,
};

/** Random weights. Those of a tensor follow from its name and the seed alone, so that models can have layers in common. */
export function convolvingGguf(changes: Partial<ConvolvingModel> = {}): GgufFile {
  const model = { ...USUAL, ...changes };
  const pieces: Uint8Array[] = [];
  writeGguf({ write: (bytes) => pieces.push(bytes.slice()) }, metadataOf(model), tensorsOf(model));
  return openGguf(bytesSource(Buffer.concat(pieces)));
}

function metadataOf(model: ConvolvingModel): Map<string, GgufEntry> {
  const u32 = (value: number): GgufEntry => ({ type: 'uint32', value });
  return new Map<string, GgufEntry>([
    ['general.architecture', { type: 'string', value: 'lfm2' }],
    ['general.name', { type: 'string', value: 'convolving' }],
    ['lfm2.context_length', u32(model.contextLength)],
    ['lfm2.embedding_length', u32(model.embedding)],
    ['lfm2.block_count', u32(model.convolves.length)],
    ['lfm2.feed_forward_length', u32(model.feedForward)],
    ['lfm2.attention.head_count', u32(model.heads)],
    [
      'lfm2.attention.head_count_kv',
      { type: 'array', of: 'uint32', value: model.convolves.map((one) => (one ? 0 : model.kvHeads)) },
    ],
    ['lfm2.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-5 }],
    ['lfm2.rope.freq_base', { type: 'float32', value: 10000 }],
    ['lfm2.shortconv.l_cache', u32(model.taps)],
    ...syntheticVocabulary(model.vocabulary),
  ]);
}

function tensorsOf(model: ConvolvingModel): TensorToWrite[] {
  const { embedding, heads, kvHeads, feedForward, vocabulary, type, idleFrom } = model;
  const headDim = embedding / heads;
  const seedOf = (name: string) =>
    [...name].reduce((hash, one) => Math.imul(hash, 31) + one.charCodeAt(0), model.seed);
  const matrix = (name: string, columns: number, rows: number) =>
    randomTensor(`${name}.weight`, type, [columns, rows], seedOf(name), 1 / Math.sqrt(columns));
  const norm = (name: string, length = embedding) => normTensor(`${name}.weight`, length, seedOf(name));
  return [
    matrix('token_embd', embedding, vocabulary),
    norm('token_embd_norm'),
    ...model.convolves.flatMap((convolves, layer) => {
      const name = (part: string) => `blk.${layer}.${part}`;
      const last = (part: string, columns: number) =>
        layer < idleFrom
          ? matrix(name(part), columns, embedding)
          : zeros(name(part), type, columns, embedding);
      const mixer = convolves
        ? [
            matrix(name('shortconv.in_proj'), embedding, 3 * embedding),
            taps(name('shortconv.conv'), model, seedOf(name('shortconv.conv'))),
            last('shortconv.out_proj', embedding),
          ]
        : [
            matrix(name('attn_q'), embedding, embedding),
            matrix(name('attn_k'), embedding, kvHeads * headDim),
            matrix(name('attn_v'), embedding, kvHeads * headDim),
            norm(name('attn_q_norm'), headDim),
            norm(name('attn_k_norm'), headDim),
            last('attn_output', embedding),
          ];
      return [
        norm(name('attn_norm')),
        ...mixer,
        norm(name('ffn_norm')),
        matrix(name('ffn_gate'), embedding, feedForward),
        matrix(name('ffn_up'), embedding, feedForward),
        last('ffn_down', feedForward),
      ];
    }),
  ];
}

/** A weight for each token and value; those of the latest tokens do not depend on how many there are. */
function taps(
  name: string,
  { taps: count, silentTaps, embedding }: ConvolvingModel,
  seed: number,
): TensorToWrite {
  const weights = new Float32Array(count * embedding);
  for (let back = 0; back < count - silentTaps; back++)
    for (let value = 0; value < embedding; value++)
      weights[value * count + count - 1 - back] = Math.sin(seed + 7 * back + 3 * value);
  return {
    name: `${name}.weight`,
    type: GgmlType.F32,
    shape: [count, embedding],
    produce: (emit) => emit(new Uint8Array(weights.buffer)),
  };
}

function zeros(name: string, type: GgmlType, columns: number, rows: number): TensorToWrite {
  return { ...randomTensor(`${name}.weight`, type, [columns, rows], 1, 0) };
}
