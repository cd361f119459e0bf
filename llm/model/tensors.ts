import type { GgufFile, GgufTensor } from '../../gguf/index.js';
import type { LayerConfig, ModelConfig } from './config.js';
import type { LayerRange } from './layer-range.js';
import type { RopeConfig } from './rope-config.js';
import { TensorFinder } from './tensor-finder.js';

/** Weights of a norm, and with LayerNorm what is added after. */
export interface NormTensors {
  readonly weight: GgufTensor;
  readonly bias: GgufTensor | undefined;
}

/** A matrix, and what is added to its results. */
export interface MatrixTensors {
  readonly weight: GgufTensor;
  readonly bias: GgufTensor | undefined;
}

/** The matrices of a feed-forward. */
export interface FeedForwardTensors {
  readonly gate: MatrixTensors | undefined;
  readonly up: MatrixTensors;
  readonly down: MatrixTensors;
}

/** What a layer attends with. */
export interface AttentionTensors {
  readonly q: MatrixTensors;
  readonly k: MatrixTensors;
  readonly v: MatrixTensors;
  readonly queryNorm: GgufTensor | undefined;
  readonly keyNorm: GgufTensor | undefined;
  readonly output: MatrixTensors;
}

/** What a layer convolves with. */
export interface ConvolutionTensors {
  /** Rows of what gates its input, of what gates its output, and of the input itself. */
  readonly input: MatrixTensors;
  /** For each value a weight for every token that it goes over, that of the own one last. */
  readonly weights: GgufTensor;
  readonly output: MatrixTensors;
}

/** The tensors of one layer, checked; what its family or its file does not have is undefined. */
export interface LayerTensors {
  readonly attentionNorm: NormTensors | undefined;
  /** One of the two. */
  readonly attention: AttentionTensors | undefined;
  readonly convolution: ConvolutionTensors | undefined;
  readonly attentionPostNorm: NormTensors | undefined;
  readonly feedForwardNorm: NormTensors | undefined;
  readonly feedForward: FeedForwardTensors | undefined;
  /** Instead of one feed-forward: what chooses some of many. */
  readonly experts:
    | { readonly router: MatrixTensors; readonly each: readonly FeedForwardTensors[] }
    | undefined;
  readonly feedForwardPostNorm: NormTensors | undefined;
}

/** All tensors of a model, checked. */
export interface ModelTensors {
  readonly embedding: GgufTensor;
  /** A row for every position, which is added to the embedding. */
  readonly positions: GgufTensor | undefined;
  readonly layers: readonly LayerTensors[];
  readonly outputNorm: NormTensors;
  /** With a tied output this is `embedding`. */
  readonly output: GgufTensor;
  /** One divisor of the frequency for every pair of rotated values: LLaMA-3's, or LongRoPE's up to and beyond its short context. */
  readonly ropeFactors: { readonly short: GgufTensor; readonly long: GgufTensor } | undefined;
  /** All vectors among these. */
  readonly vectors: readonly GgufTensor[];
}

/**
 * Finds the tensors of a model and checks shape and type of each. Shapes: a matrix of `rows` results from `columns` inputs is
 * stored row by row (GGUF order: ne[0] = columns).
 *
 * @throws PynqLlmError LLM_TENSOR_MISSING, LLM_TENSOR_SHAPE, LLM_TENSOR_TYPE, LLM_UNSUPPORTED_ARCHITECTURE where there is a tensor
 *   that the family's graph has no place for
 */
export function findTensors(gguf: GgufFile, config: ModelConfig): ModelTensors {
  const { embedding, vocabSize, architecture, trainedContext } = config;
  const find = new TensorFinder(gguf);
  const layers = config.layerConfigs.map(({ mixer }, i) => findLayer(find, config, `blk.${i}`, mixer));
  const embeddingTensor = find.matrix('token_embd.weight', vocabSize, embedding);
  const tensors: ModelTensors = {
    embedding: embeddingTensor,
    positions:
      architecture.rope === 'none'
        ? find.matrix('position_embd.weight', trainedContext, embedding)
        : undefined,
    layers,
    outputNorm: findNorm(find, architecture.outputNorm, config),
    output: config.tiedOutput ? embeddingTensor : find.matrix('output.weight', vocabSize, embedding),
    ropeFactors: findRopeFactors(find, config.rope),
    vectors: find.vectors,
  };
  find.refuseOthers();
  return tensors;
}

function findLayer(
  find: TensorFinder,
  config: ModelConfig,
  block: string,
  mixer: LayerConfig['mixer'],
): LayerTensors {
  const { normBefore, normAfter, mayBeParallel } = config.architecture;
  const norm = (name: string, exists: boolean) =>
    exists ? findNorm(find, `${block}.${name}`, config) : undefined;
  return {
    attentionNorm: norm('attn_norm', normBefore),
    attention: mixer === 'attention' ? findAttention(find, config, block) : undefined,
    convolution:
      mixer === 'convolution' && config.convolution
        ? findConvolution(find, config.embedding, config.convolution.taps, `${block}.shortconv`)
        : undefined,
    attentionPostNorm: norm('post_attention_norm', normAfter),
    feedForwardNorm: norm(
      'ffn_norm',
      normBefore && !(mayBeParallel && !find.has(`${block}.ffn_norm.weight`)),
    ),
    feedForward: config.experts === undefined ? findFeedForward(find, config, block) : undefined,
    experts: config.experts && findExperts(find, config, block, config.experts.count),
    feedForwardPostNorm: norm('post_ffw_norm', normAfter),
  };
}

function findAttention(find: TensorFinder, config: ModelConfig, block: string): AttentionTensors {
  const { architecture, embedding, heads, kvHeads, headDim } = config;
  const [queryWidth, keyWidth] = [heads * headDim, kvHeads * headDim];
  const norm = (query: boolean) => {
    const name = `${block}.attn_${query ? 'q' : 'k'}_norm.weight`;
    const count = query ? heads : kvHeads;
    const { queryKeyNorm } = architecture;
    if (queryKeyNorm === 'none' || (queryKeyNorm === 'ownHeads' && !find.has(name))) return undefined;
    if (queryKeyNorm === 'ownHeads') return find.vector(name, headDim, count);
    return find.vector(name, queryKeyNorm === 'row' ? count * headDim : headDim);
  };
  return {
    ...findQkv(find, config, block, queryWidth, keyWidth),
    queryNorm: norm(true),
    keyNorm: norm(false),
    output: findMatrix(find, config, `${block}.attn_output`, embedding, queryWidth),
  };
}

function findConvolution(
  find: TensorFinder,
  embedding: number,
  taps: number,
  name: string,
): ConvolutionTensors {
  const matrix = (part: string, rows: number): MatrixTensors => ({
    weight: find.matrix(`${name}.${part}.weight`, rows, embedding),
    bias: undefined,
  });
  return {
    input: matrix('in_proj', 3 * embedding),
    weights: find.vector(`${name}.conv.weight`, taps, embedding),
    output: matrix('out_proj', embedding),
  };
}

/** Three matrices, or one that holds their rows one after another. */
function findQkv(
  find: TensorFinder,
  config: ModelConfig,
  block: string,
  queryWidth: number,
  keyWidth: number,
): Pick<AttentionTensors, 'q' | 'k' | 'v'> {
  const parts = [
    ['q', 0, queryWidth],
    ['k', queryWidth, keyWidth],
    ['v', queryWidth + keyWidth, keyWidth],
  ] as const;
  const fused = `${block}.attn_qkv`;
  const all = queryWidth + 2 * keyWidth;
  const whole = find.has(`${fused}.weight`)
    ? find.matrix(`${fused}.weight`, all, config.embedding)
    : undefined;
  const wholeBias = find.has(`${fused}.bias`) ? find.vector(`${fused}.bias`, all) : undefined;
  const [q, k, v] = parts.map(([name, first, rows]): MatrixTensors => {
    const own = `${block}.attn_${name}`;
    return {
      weight:
        whole === undefined
          ? find.matrix(`${own}.weight`, rows, config.embedding)
          : rowsOfTensor(whole, name, first, rows),
      bias:
        wholeBias === undefined ? findBias(find, config, own, rows) : valuesOf(wholeBias, name, first, rows),
    };
  });
  return { q, k, v };
}

/** Gate and up, which may be one matrix with the gate's rows first, and down. */
function findFeedForward(find: TensorFinder, config: ModelConfig, block: string): FeedForwardTensors {
  const { embedding, feedForward, architecture } = config;
  const down = findMatrix(find, config, `${block}.ffn_down`, embedding, feedForward);
  const up = `${block}.ffn_up`;
  if (!architecture.isGated)
    return { gate: undefined, up: findMatrix(find, config, up, feedForward, embedding), down };
  const gate = `${block}.ffn_gate`;
  if (find.has(`${gate}.weight`) || !find.has(`${up}.weight`))
    return {
      gate: findMatrix(find, config, gate, feedForward, embedding),
      up: findMatrix(find, config, up, feedForward, embedding),
      down,
    };
  const { weight, bias } = findMatrix(find, config, up, 2 * feedForward, embedding);
  const half = (name: string, first: number): MatrixTensors => ({
    weight: rowsOfTensor(weight, name, first, feedForward),
    bias: bias && valuesOf(bias, name, first, feedForward),
  });
  return { gate: half('gate', 0), up: half('up', feedForward), down };
}

function findExperts(
  find: TensorFinder,
  config: ModelConfig,
  block: string,
  count: number,
): NonNullable<LayerTensors['experts']> {
  const { embedding, feedForward } = config;
  const stack = (name: string, rows: number, columns: number) => {
    const all = find.stack(`${block}.${name}_exps.weight`, count, rows, columns);
    return (expert: number): MatrixTensors => ({
      weight: rowsOfTensor(all, String(expert), expert * rows, rows),
      bias: undefined,
    });
  };
  const gate = stack('ffn_gate', feedForward, embedding);
  const up = stack('ffn_up', feedForward, embedding);
  const down = stack('ffn_down', embedding, feedForward);
  return {
    router: findMatrix(find, config, `${block}.ffn_gate_inp`, count, embedding),
    each: Array.from({ length: count }, (_, i) => ({ gate: gate(i), up: up(i), down: down(i) })),
  };
}

function findMatrix(
  find: TensorFinder,
  config: ModelConfig,
  name: string,
  rows: number,
  columns: number,
): MatrixTensors {
  return { weight: find.matrix(`${name}.weight`, rows, columns), bias: findBias(find, config, name, rows) };
}

function findBias(
  find: TensorFinder,
  { architecture }: ModelConfig,
  name: string,
  rows: number,
): GgufTensor | undefined {
  const isRequired = architecture.biases.includes(name.slice(name.lastIndexOf('.') + 1));
  return isRequired || find.has(`${name}.bias`) ? find.vector(`${name}.bias`, rows) : undefined;
}

function findNorm(find: TensorFinder, name: string, { architecture, embedding }: ModelConfig): NormTensors {
  const weight = find.vector(`${name}.weight`, embedding);
  return { weight, bias: architecture.norm === 'layer' ? find.vector(`${name}.bias`, embedding) : undefined };
}

function findRopeFactors(find: TensorFinder, rope: RopeConfig): ModelTensors['ropeFactors'] {
  const pairs = rope.dimensions / 2;
  if (find.has('rope_freqs.weight')) {
    const factors = find.vector('rope_freqs.weight', pairs);
    return { short: factors, long: factors };
  }
  const hasFactors = find.has('rope_factors_long.weight') || find.has('rope_factors_short.weight');
  if (!hasFactors && !rope.needsFactors) return undefined;
  return {
    short: find.vector('rope_factors_short.weight', pairs),
    long: find.vector('rope_factors_long.weight', pairs),
  };
}

/** Some rows of a matrix as a tensor of its own. */
export function rowsOfTensor(tensor: GgufTensor, part: string, first: number, rows: number): GgufTensor {
  const { rowBytes, byteOffset, columns, name } = tensor;
  return {
    ...tensor,
    name: `${name}:${part}`,
    shape: [columns, rows],
    rows,
    byteOffset: byteOffset + first * rowBytes,
    byteLength: rows * rowBytes,
  };
}

/** Some values of an F32 vector as a tensor of its own. */
export function valuesOf(tensor: GgufTensor, part: string, first: number, columns: number): GgufTensor {
  const byteLength = 4 * columns;
  return {
    ...tensor,
    name: `${tensor.name}:${part}`,
    shape: [columns],
    columns,
    rowBytes: byteLength,
    byteOffset: tensor.byteOffset + 4 * first,
    byteLength,
  };
}

/** The matrices that a step multiplies with, in the order of use; of some layers unless of all, with the last of all the output's. */
export function matrices(tensors: ModelTensors, range?: LayerRange): GgufTensor[] {
  const { from, to } = range ?? { from: 0, to: tensors.layers.length };
  const own = tensors.layers.slice(from, to);
  const all = own.flatMap(({ attention, convolution, feedForward, experts }) => [
    ...(attention ? [attention.q, attention.k, attention.v, attention.output] : []),
    ...(convolution ? [convolution.input, convolution.output] : []),
    ...(experts === undefined ? [] : [experts.router]),
    ...(experts?.each ?? (feedForward === undefined ? [] : [feedForward])).flatMap(({ gate, up, down }) =>
      gate === undefined ? [up, down] : [gate, up, down],
    ),
  ]);
  const ofLayers = all.map(({ weight }) => weight);
  const here = to === tensors.layers.length ? [...ofLayers, tensors.output] : ofLayers;
  // A board that has a part of every matrix may have none of a small one.
  return here.filter(({ rows }) => rows > 0);
}

/** Reads F32 values, such as the weights of a norm. */
export function readVector(gguf: GgufFile, tensor: GgufTensor): Float32Array {
  const bytes = new Uint8Array(tensor.byteLength);
  gguf.readTensor(tensor, 0, tensor.rows, bytes);
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: tensor.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
}
