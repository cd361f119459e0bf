import { PynqLlmError } from '../../errors/index.js';
import type { GgufFile } from '../../gguf/index.js';
import type { KvShape } from '../kv/layout.js';
import { Metadata } from '../metadata.js';
import { ARCHITECTURES, type Architecture } from './architectures.js';
import type { LayerRange } from './layer-range.js';
import { type RopeConfig, readRope } from './rope-config.js';

/** What one layer has of its own. */
export interface LayerConfig {
  /** How it takes earlier tokens into account. */
  readonly mixer: 'attention' | 'convolution';
  /** How many of the last tokens attention sees, the own one among them; 0 for all. */
  readonly window: number;
  /** Which of the model's ropes turns queries and keys. */
  readonly rope: 'rope' | 'windowRope' | 'none';
}

/** Factors of the graph; 1 where a family has none. */
export interface Scales {
  readonly embedding: number;
  /** Of queries, before they are rounded to halves. */
  readonly query: number;
  /** Of attention scores. */
  readonly attention: number;
  /** Of what a half of a layer adds to the residual stream. */
  readonly residual: number;
  readonly logits: number;
}

/** What the graph of a model needs to know; names as in the GGUF specification. */
export interface ModelConfig {
  readonly name: string;
  readonly architecture: Architecture;
  readonly vocabSize: number;
  /** The context the model was made for, in tokens. */
  readonly trainedContext: number;
  /** Values of the residual stream. */
  readonly embedding: number;
  readonly layers: number;
  /** Values inside of a feed-forward, or of an expert. */
  readonly feedForward: number;
  /** How many experts there are, and how many a token uses; undefined where there is one feed-forward. */
  readonly experts: { readonly count: number; readonly used: number } | undefined;
  /** How many of the last tokens a convolution goes over, the own one among them; undefined where no layer convolves. */
  readonly convolution: { readonly taps: number } | undefined;
  readonly heads: number;
  /** Key and value heads: each serves heads / kvHeads query heads. */
  readonly kvHeads: number;
  /** Values of a head of Q, K and V. */
  readonly headDim: number;
  readonly normEpsilon: number;
  readonly rope: RopeConfig;
  /** RoPE of layers with a window, where it is another one. */
  readonly windowRope: RopeConfig | undefined;
  readonly layerConfigs: readonly LayerConfig[];
  readonly scales: Scales;
  /** tanh bounds of attention scores and of logits; 0 for none. */
  readonly caps: { readonly attention: number; readonly logits: number };
  /** The output matrix is token_embd.weight. */
  readonly tiedOutput: boolean;
}

/** Limits that no model for such a board comes near: they bound what a hostile file makes us allocate. */
const MOST = {
  layers: 512,
  heads: 1024,
  experts: 1024,
  /** Each has its results in every column of a step. */
  usedExperts: 64,
  dimension: 1 << 20,
  context: 1 << 22,
  taps: 1 << 12,
} as const;

/**
 * Reads and checks the metadata of a model.
 *
 * Source: GGUF specification, "Standardized key-value pairs"; llama.cpp's defaults where a key is optional.
 *
 * @param assumed gets what is taken for granted because a key is missing or odd, for people
 * @throws PynqLlmError LLM_UNSUPPORTED_ARCHITECTURE, LLM_METADATA_MISSING, LLM_METADATA_INVALID,
 *   LLM_ROPE_SCALING_UNSUPPORTED, LLM_TENSOR_MISSING, LLM_TENSOR_SHAPE
 */
export function readConfig(gguf: GgufFile, assumed?: Set<string>): ModelConfig {
  const metadata = new Metadata(gguf.metadata, assumed);
  const prefix = metadata.text('general.architecture');
  const architecture = ARCHITECTURES.get(prefix);
  if (architecture === undefined) throw unsupportedArchitecture(prefix);
  if (!metadata.flag(`${prefix}.attention.causal`, true)) throw notCausal(prefix);
  const experts = readExperts(metadata, prefix, architecture);
  const embedding = metadata.integer(`${prefix}.embedding_length`, 1, MOST.dimension);
  const heads = metadata.integerOfLayers(`${prefix}.attention.head_count`, 1, MOST.heads);
  const layers = metadata.integer(`${prefix}.block_count`, 1, MOST.layers);
  const { kvHeads, mixers } = readMixers(metadata, prefix, architecture, heads, layers);
  noteDefaults(metadata, prefix, architecture, heads);
  if (heads % kvHeads !== 0) {
    throw metadata.invalid(
      `${prefix}.attention.head_count_kv`,
      `${kvHeads} does not divide the ${heads} heads`,
    );
  }
  const headDim = readHeadDim(metadata, prefix, embedding, heads);
  const trainedContext = metadata.integer(`${prefix}.context_length`, 1, MOST.context);
  const rope = readRope(metadata, prefix, architecture.rope, headDim, trainedContext);
  const shape = { embedding, heads, headDim, layers };
  const layerConfigs = readLayers(metadata, prefix, architecture, mixers);
  return {
    name: metadata.optionalText('general.name', 'unnamed'),
    architecture,
    vocabSize: vocabSize(gguf, prefix, embedding),
    trainedContext,
    ...shape,
    feedForward: readFeedForward(metadata, prefix, experts?.used),
    experts,
    convolution: mixers.includes('convolution')
      ? { taps: metadata.integer(`${prefix}.shortconv.l_cache`, 2, MOST.taps) }
      : undefined,
    kvHeads,
    normEpsilon: metadata.number(
      `${prefix}.attention.layer_norm_${architecture.norm === 'rms' ? 'rms_' : ''}epsilon`,
      0,
      1,
    ),
    rope,
    windowRope: layerConfigs.some((layer) => layer.rope === 'windowRope')
      ? readWindowRope(metadata, prefix, architecture, rope)
      : undefined,
    layerConfigs,
    scales: readScales(metadata, prefix, architecture, shape),
    caps: readCaps(metadata, prefix, architecture),
    tiedOutput: !gguf.tensors.has('output.weight'),
  };
}

/** What a cache needs to know of a model. */
export function kvShapeOf(
  config: ModelConfig,
  range?: LayerRange,
): KvShape & { readonly layerWindows: readonly number[] } {
  const { heads, kvHeads, headDim, convolution, embedding } = config;
  const layerConfigs = config.layerConfigs.slice(range?.from, range?.to);
  const attending = layerConfigs.filter(({ mixer }) => mixer === 'attention');
  return {
    layers: attending.length,
    heads,
    kvHeads,
    headDim,
    layerWindows: attending.map(({ window }) => window),
    convolution: convolution && {
      layers: layerConfigs.length - attending.length,
      taps: convolution.taps,
      width: embedding,
    },
  };
}

/** Heads of keys and values, and by layer whether it has them. @throws PynqLlmError LLM_METADATA_INVALID */
function readMixers(
  metadata: Metadata,
  prefix: string,
  { hasConvolutions }: Architecture,
  heads: number,
  layers: number,
): { kvHeads: number; mixers: readonly LayerConfig['mixer'][] } {
  const key = `${prefix}.attention.head_count_kv`;
  const listed = hasConvolutions ? metadata.integersOfLayers(key, layers, 0, MOST.heads) : undefined;
  if (listed === undefined) {
    const kvHeads = metadata.integerOfLayers(key, 1, MOST.heads, heads);
    return { kvHeads, mixers: Array.from({ length: layers }, () => 'attention') };
  }
  const [kvHeads, ...others] = new Set(listed.filter((count) => count > 0));
  if (kvHeads === undefined) throw metadata.invalid(key, 'no layer has keys and values');
  if (others.length > 0)
    throw metadata.invalid(key, `of layers with attention some have ${kvHeads} heads and some ${others[0]}`);
  return { kvHeads, mixers: listed.map((count) => (count > 0 ? 'attention' : 'convolution')) };
}

/** Such models embed texts: their tokens see later ones. */
function notCausal(prefix: string): PynqLlmError {
  return new PynqLlmError(
    'LLM_UNSUPPORTED_ARCHITECTURE',
    `Tokens of this "${prefix}" model see those after them (${prefix}.attention.causal): it is none that continues a text.`,
    { context: { architecture: prefix, supported: [...ARCHITECTURES.keys()] } },
  );
}

/** Keys that most files have: what holds where one does not is worth a look. */
function noteDefaults(metadata: Metadata, prefix: string, { rope }: Architecture, heads: number): void {
  const defaults = {
    'attention.head_count_kv': `${heads}, as ${prefix}.attention.head_count`,
    ...(rope === 'none' ? {} : { 'rope.dimension_count': 'the length of a head', 'rope.freq_base': '10000' }),
  };
  for (const [key, what] of Object.entries(defaults))
    if (!metadata.has(`${prefix}.${key}`)) metadata.assume(`${prefix}.${key}`, what);
}

function unsupportedArchitecture(name: string): PynqLlmError {
  const supported = [...ARCHITECTURES.keys()];
  return new PynqLlmError(
    'LLM_UNSUPPORTED_ARCHITECTURE',
    `The model's architecture is "${name.slice(0, 64)}"; computed are ${supported.map((one) => `"${one}"`).join(', ')}.`,
    { context: { architecture: name.slice(0, 64), supported } },
  );
}

/** @throws PynqLlmError LLM_UNSUPPORTED_ARCHITECTURE where a family without experts has some */
function readExperts(
  metadata: Metadata,
  prefix: string,
  { hasExperts }: Architecture,
): ModelConfig['experts'] {
  if (hasExperts) {
    const count = metadata.integer(`${prefix}.expert_count`, 1, MOST.experts);
    const most = Math.min(count, MOST.usedExperts);
    return { count, used: metadata.integer(`${prefix}.expert_used_count`, 1, most) };
  }
  const experts = metadata.integer(`${prefix}.expert_count`, 0, 1 << 16, 0);
  if (experts === 0) return undefined;
  throw new PynqLlmError(
    'LLM_UNSUPPORTED_ARCHITECTURE',
    `The model is a mixture of ${experts} experts; of "${prefix}" only dense feed-forward layers are computed.`,
    { context: { architecture: prefix, experts, supported: [...ARCHITECTURES.keys()] } },
  );
}

/** Of a mixture that does not say it, the experts that a token uses have the feed-forward's length together. */
function readFeedForward(metadata: Metadata, prefix: string, used: number | undefined): number {
  const key = `${prefix}.feed_forward_length`;
  if (used === undefined) return metadata.integerOfLayers(key, 1, MOST.dimension);
  const own = `${prefix}.expert_feed_forward_length`;
  if (metadata.has(own)) return metadata.integerOfLayers(own, 1, MOST.dimension);
  return Math.floor(metadata.integerOfLayers(key, used, MOST.dimension) / used);
}

function readHeadDim(metadata: Metadata, prefix: string, embedding: number, heads: number): number {
  const keyLength = `${prefix}.attention.key_length`;
  if (!metadata.has(keyLength) && embedding % heads !== 0) {
    throw metadata.invalid(
      `${prefix}.attention.head_count`,
      `${heads} does not divide the embedding length ${embedding}`,
    );
  }
  const headDim = metadata.integer(keyLength, 1, MOST.dimension, embedding / heads);
  const valueLength = `${prefix}.attention.value_length`;
  const valueDim = metadata.integer(valueLength, 1, MOST.dimension, headDim);
  if (valueDim !== headDim) {
    throw metadata.invalid(valueLength, `${valueDim} differs from the key length ${headDim}`);
  }
  return headDim;
}

/** The embedding tensor decides: `vocab_size` is optional and not always kept in step by tools. */
function vocabSize(gguf: GgufFile, prefix: string, embedding: number): number {
  const tensor = gguf.tensors.get('token_embd.weight');
  if (tensor === undefined) {
    throw new PynqLlmError('LLM_TENSOR_MISSING', 'The tensor token_embd.weight is missing.', {
      context: { tensor: 'token_embd.weight' },
    });
  }
  if (tensor.columns !== embedding || tensor.rows < 1) {
    throw new PynqLlmError(
      'LLM_TENSOR_SHAPE',
      `token_embd.weight has ${tensor.rows} rows of ${tensor.columns} values; ${prefix}.embedding_length is ${embedding}.`,
      { context: { tensor: 'token_embd.weight', rows: tensor.rows, columns: tensor.columns } },
    );
  }
  return tensor.rows;
}

/** Of layers with a window, where it is not that of the others: what is local needs no scaling to longer contexts. */
function readWindowRope(
  metadata: Metadata,
  prefix: string,
  { windows }: Architecture,
  rope: RopeConfig,
): RopeConfig | undefined {
  if (windows === undefined) return undefined;
  const base = metadata.number(`${prefix}.rope.freq_base_swa`, 1, 1e12, windows.ropeBase ?? rope.base);
  if (windows.isUnscaled) return { ...rope, base, scale: 1, yarn: undefined, attentionFactor: 1 };
  return base === rope.base ? undefined : { ...rope, base };
}

function readLayers(
  metadata: Metadata,
  prefix: string,
  { windows, layersPerUnrotated, rope, hasScales }: Architecture,
  mixers: readonly LayerConfig['mixer'][],
): LayerConfig[] {
  const layers = mixers.length;
  const window =
    windows === undefined
      ? 0
      : metadata.integer(`${prefix}.attention.sliding_window`, 0, MOST.context, windows.length ?? 0);
  const key = `${prefix}.attention.sliding_window_pattern`;
  const listed = window === 0 ? undefined : metadata.flags(key);
  if (listed !== undefined && listed.length < layers)
    throw metadata.invalid(key, `it lists ${listed.length} of the ${layers} layers`);
  const pattern =
    window === 0 || listed !== undefined ? 1 : metadata.integer(key, 0, MOST.layers, windows?.pattern);
  // Granite has a switch for RoPE.
  const isRotated =
    rope !== 'none' && (!hasScales || metadata.flag(`${prefix}.rope.scaling.finetuned`, true));
  return mixers.map((mixer, i) => {
    const isLocal = listed?.[i] ?? (window > 0 && (pattern === 0 || i % pattern < pattern - 1));
    const isUnrotated = layersPerUnrotated > 0 && (i + 1) % layersPerUnrotated === 0;
    return {
      mixer,
      window: isLocal ? window : 0,
      rope: !isRotated || isUnrotated ? 'none' : isLocal ? 'windowRope' : 'rope',
    };
  });
}

function readScales(
  metadata: Metadata,
  prefix: string,
  { hasScales, scaledQueries, rootOfEmbedding }: Architecture,
  { embedding, heads, headDim, layers }: Pick<ModelConfig, 'embedding' | 'heads' | 'headDim' | 'layers'>,
): Scales {
  const root = (values: number) => Math.fround(1 / Math.fround(Math.sqrt(values)));
  const scale = (key: string) => (hasScales && metadata.number(`${prefix}.${key}`, 0, 1e6, 0)) || undefined;
  const usual = {
    embedding: scale('embedding_scale') ?? (rootOfEmbedding ? Math.fround(Math.sqrt(embedding)) : 1),
    query: 1,
    attention: scale('attention.scale') ?? root(headDim),
    residual: scale('residual_scale') ?? 1,
    logits: hasScales ? Math.fround(1 / metadata.number(`${prefix}.logit_scale`, 1e-6, 1e6)) : 1,
  };
  if (scaledQueries === undefined) return usual;
  const isLargest = layers === scaledQueries.layersOfLargest;
  return { ...usual, query: root(isLargest ? Math.floor(embedding / heads) : headDim), attention: 1 };
}

function readCaps(metadata: Metadata, prefix: string, { caps }: Architecture): ModelConfig['caps'] {
  if (caps === undefined) return { attention: 0, logits: 0 };
  const cap = (key: string, otherwise: number) => {
    const value = metadata.number(`${prefix}.${key}_logit_softcapping`, 0, 1e6, otherwise);
    if (value > 0 && value < 1e-6)
      throw metadata.invalid(`${prefix}.${key}_logit_softcapping`, 'it is too small');
    return value;
  };
  return {
    attention: caps.attention === 0 ? 0 : cap('attn', caps.attention),
    logits: cap('final', caps.logits),
  };
}
