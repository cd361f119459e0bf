import { PynqLlmError } from '../../errors/index.js';
import type { GgufFile } from '../../gguf/index.js';
import { Metadata } from '../metadata.js';

/** How RoPE's angles differ from position * base^(-2i/d): `llama.rope.scaling.*` and `rope_freqs.weight`. */
export interface RopeConfig {
  /** Leading values of every head that are rotated, an even number. */
  readonly dimensions: number;
  readonly base: number;
  /** Positions are multiplied by this: 1 / `llama.rope.scaling.factor`. */
  readonly scale: number;
  /** YaRN mixes scaled and unscaled angles between two dimensions that follow from the trained context length. */
  readonly yarn: YarnConfig | undefined;
  /** Rotated values are multiplied by this, with YaRN by 1 + 0.1 ln(1 / scale) of it. */
  readonly attentionFactor: number;
}

/** `llama.rope.scaling.*` of YaRN (Peng et al. 2023). */
export interface YarnConfig {
  readonly originalContext: number;
  /** Of the mixture: 1 is YaRN, and less is nearer to plain scaling. */
  readonly extrapolation: number;
  /** Full turns over the original context from which on, and up to which, pairs are not mixed. */
  readonly betaFast: number;
  readonly betaSlow: number;
}

/** What the graph of a LLaMA-architecture model needs to know; names as in the GGUF specification. */
export interface ModelConfig {
  readonly name: string;
  readonly vocabSize: number;
  /** The context the model was made for, in tokens. */
  readonly trainedContext: number;
  /** Values of the residual stream. */
  readonly embedding: number;
  readonly layers: number;
  readonly feedForward: number;
  readonly heads: number;
  /** Key and value heads: each serves heads / kvHeads query heads. */
  readonly kvHeads: number;
  /** Values of a head of Q, K and V. */
  readonly headDim: number;
  readonly rmsEpsilon: number;
  readonly rope: RopeConfig;
  /** The output matrix is token_embd.weight. */
  readonly tiedOutput: boolean;
}

/** Limits that no model for such a board comes near: they bound what a hostile file makes us allocate. */
const MOST = { layers: 512, heads: 1024, dimension: 1 << 20, context: 1 << 22 } as const;

/**
 * Reads and checks the metadata of a model of the LLaMA architecture.
 *
 * Source: GGUF specification, "Standardized key-value pairs"; llama.cpp's defaults where a key is optional.
 *
 * @param assumed gets what is taken for granted because a key is missing or odd, for people
 * @throws PynqLlmError LLM_UNSUPPORTED_ARCHITECTURE, LLM_METADATA_MISSING, LLM_METADATA_INVALID,
 *   LLM_ROPE_SCALING_UNSUPPORTED, LLM_TENSOR_MISSING, LLM_TENSOR_SHAPE
 */
export function readConfig(gguf: GgufFile, assumed?: Set<string>): ModelConfig {
  const metadata = new Metadata(gguf.metadata, assumed);
  const architecture = metadata.text('general.architecture');
  if (architecture !== 'llama') {
    throw new PynqLlmError(
      'LLM_UNSUPPORTED_ARCHITECTURE',
      `The model's architecture is "${architecture.slice(0, 64)}"; only "llama" is computed.`,
      { context: { architecture: architecture.slice(0, 64), supported: ['llama'] } },
    );
  }
  refuseMixtureOfExperts(metadata);
  const embedding = metadata.integer('llama.embedding_length', 1, MOST.dimension);
  const heads = metadata.integerOfLayers('llama.attention.head_count', 1, MOST.heads);
  const kvHeads = metadata.integerOfLayers('llama.attention.head_count_kv', 1, MOST.heads, heads);
  noteDefaults(metadata, heads);
  if (heads % kvHeads !== 0) {
    throw metadata.invalid('llama.attention.head_count_kv', `${kvHeads} does not divide the ${heads} heads`);
  }
  const headDim = readHeadDim(metadata, embedding, heads);
  const trainedContext = metadata.integer('llama.context_length', 1, MOST.context);
  return {
    name: metadata.optionalText('general.name', 'unnamed'),
    vocabSize: vocabSize(gguf, embedding),
    trainedContext,
    embedding,
    layers: metadata.integer('llama.block_count', 1, MOST.layers),
    feedForward: metadata.integerOfLayers('llama.feed_forward_length', 1, MOST.dimension),
    heads,
    kvHeads,
    headDim,
    rmsEpsilon: metadata.number('llama.attention.layer_norm_rms_epsilon', 0, 1),
    rope: readRope(metadata, headDim, trainedContext),
    tiedOutput: !gguf.tensors.has('output.weight'),
  };
}

/** Keys that most files have: what holds where one does not is worth a look. */
function noteDefaults(metadata: Metadata, heads: number): void {
  const defaults = {
    'llama.attention.head_count_kv': `${heads}, as llama.attention.head_count`,
    'llama.rope.dimension_count': 'the length of a head',
    'llama.rope.freq_base': '10000',
  };
  for (const [key, what] of Object.entries(defaults)) if (!metadata.has(key)) metadata.assume(key, what);
}

function refuseMixtureOfExperts(metadata: Metadata): void {
  const experts = metadata.integer('llama.expert_count', 0, 1 << 16, 0);
  if (experts > 0) {
    throw new PynqLlmError(
      'LLM_UNSUPPORTED_ARCHITECTURE',
      `The model is a mixture of ${experts} experts; only dense feed-forward layers are computed.`,
      { context: { architecture: 'llama', experts, supported: ['llama'] } },
    );
  }
}

function readHeadDim(metadata: Metadata, embedding: number, heads: number): number {
  if (!metadata.has('llama.attention.key_length') && embedding % heads !== 0) {
    throw metadata.invalid(
      'llama.attention.head_count',
      `${heads} does not divide the embedding length ${embedding}`,
    );
  }
  const headDim = metadata.integer('llama.attention.key_length', 1, MOST.dimension, embedding / heads);
  const valueDim = metadata.integer('llama.attention.value_length', 1, MOST.dimension, headDim);
  if (valueDim !== headDim) {
    throw metadata.invalid(
      'llama.attention.value_length',
      `${valueDim} differs from the key length ${headDim}`,
    );
  }
  return headDim;
}

/** The embedding tensor decides: `llama.vocab_size` is optional and not always kept in step by tools. */
function vocabSize(gguf: GgufFile, embedding: number): number {
  const tensor = gguf.tensors.get('token_embd.weight');
  if (tensor === undefined) {
    throw new PynqLlmError('LLM_TENSOR_MISSING', 'The tensor token_embd.weight is missing.', {
      context: { tensor: 'token_embd.weight' },
    });
  }
  if (tensor.columns !== embedding || tensor.rows < 1) {
    throw new PynqLlmError(
      'LLM_TENSOR_SHAPE',
      `token_embd.weight has ${tensor.rows} rows of ${tensor.columns} values; llama.embedding_length is ${embedding}.`,
      { context: { tensor: 'token_embd.weight', rows: tensor.rows, columns: tensor.columns } },
    );
  }
  return tensor.rows;
}

function readRope(metadata: Metadata, headDim: number, trainedContext: number): RopeConfig {
  const dimensions = metadata.integer('llama.rope.dimension_count', 2, MOST.dimension, headDim);
  if (dimensions % 2 !== 0 || dimensions > headDim) {
    throw metadata.invalid(
      'llama.rope.dimension_count',
      `${dimensions} is not an even number up to the head's ${headDim}`,
    );
  }
  // Where a file names a factor and no type, llama.cpp scales linearly; scale_linear is the key of older files.
  const type = metadata.text('llama.rope.scaling.type', 'linear');
  const linear = metadata.number('llama.rope.scale_linear', 0, 1e6, 0);
  const factor = metadata.number('llama.rope.scaling.factor', 0, 1e6, linear) || 1;
  const plain = {
    dimensions,
    base: metadata.number('llama.rope.freq_base', 1, 1e12, 10000),
    attentionFactor:
      metadata.number('llama.rope.scaling.attn_factor', 0, 1e3, 1) *
      metadata.number('llama.rope.scaling.yarn_attn_factor', 0, 1e3, 1),
    yarn: undefined,
  };
  const scale = Math.fround(1 / factor);
  switch (type) {
    case 'none':
      return { ...plain, scale: 1 };
    case 'linear':
      return { ...plain, scale };
    case 'yarn':
      return { ...plain, scale, yarn: readYarn(metadata, trainedContext) };
    default:
      throw new PynqLlmError(
        'LLM_ROPE_SCALING_UNSUPPORTED',
        `llama.rope.scaling.type is "${type.slice(0, 64)}".`,
        { context: { type: type.slice(0, 64), supported: ['none', 'linear', 'yarn'] } },
      );
  }
}

function readYarn(metadata: Metadata, trainedContext: number): YarnConfig | undefined {
  const key = 'llama.rope.scaling';
  const extrapolation = metadata.number(`${key}.yarn_ext_factor`, 0, 1, 1);
  // The angles are scaled and nothing else then.
  if (extrapolation === 0) return undefined;
  return {
    originalContext: metadata.integer(`${key}.original_context_length`, 1, MOST.context, trainedContext),
    extrapolation,
    betaFast: metadata.number(`${key}.yarn_beta_fast`, 1e-3, 1e6, 32),
    betaSlow: metadata.number(`${key}.yarn_beta_slow`, 1e-3, 1e6, 1),
  };
}
