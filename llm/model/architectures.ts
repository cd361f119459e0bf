/**
 * How the graph of a family differs from LLaMA's. What a file itself shows is not here: biases, one matrix for Q, K and V, one for
 * gate and up, a tied output.
 */
export interface Architecture {
  /** LayerNorm takes off the mean and has a bias. */
  readonly norm: 'rms' | 'layer';
  /** Whether attention and feed-forward work on the norm of the residual stream. */
  readonly normBefore: boolean;
  /** Whether what they give is normed before it is added. */
  readonly normAfter: boolean;
  /**
   * Norm of queries and keys before they are rotated: of each head with the same weights, of all heads together, or, where a file
   * has it, of each head with weights of its own.
   */
  readonly queryKeyNorm: 'none' | 'heads' | 'row' | 'ownHeads';
  /** Values of a head that RoPE turns together: neighbours, or i and i + half; none have learned positions instead. */
  readonly rope: 'neighbours' | 'halves' | 'none';
  /** Every so many layers one has no RoPE; 0 for none. */
  readonly layersPerUnrotated: number;
  /** Of the feed-forward: what the gate goes through, or without a gate everything. */
  readonly activation: 'silu' | 'gelu';
  readonly isGated: boolean;
  /** Whether a layer without `ffn_norm` computes its feed-forward beside attention, from the same norm. */
  readonly mayBeParallel: boolean;
  /** Biases that a file must have, by the matrix; others are added where a file has them. */
  readonly biases: readonly string[];
  /** Layers that see a window of the last tokens only; without `length` only where a file names one. */
  readonly windows?: {
    /** All layers but every so manieth, where a file does not say; 0 for all. */
    readonly pattern: number;
    readonly length?: number;
    /** Base of their own RoPE; where it is left out they have the others'. */
    readonly ropeBase?: number;
    /** Their RoPE has no scaling, whatever the others' has. */
    readonly isUnscaled?: boolean;
  };
  /** Embeddings times the root of their length. */
  readonly rootOfEmbedding: boolean;
  /** Queries are scaled instead of scores; Gemma's largest, of so many layers, by the heads that the width would have. */
  readonly scaledQueries?: { readonly layersOfLargest?: number };
  /** `attention.scale`, `embedding_scale`, `residual_scale` and `logit_scale` count. */
  readonly hasScales: boolean;
  /** tanh bounds of attention scores and of logits, where a file does not say; 0 for none. */
  readonly caps?: { readonly attention: number; readonly logits: number };
  /** A router chooses some of many feed-forwards. */
  readonly hasExperts: boolean;
  /** Layers without heads of keys and values convolve over the last tokens instead of attending. */
  readonly hasConvolutions: boolean;
  /** The name of the last norm. */
  readonly outputNorm: string;
}

const LLAMA: Architecture = {
  norm: 'rms',
  normBefore: true,
  normAfter: false,
  queryKeyNorm: 'none',
  rope: 'neighbours',
  layersPerUnrotated: 0,
  activation: 'silu',
  isGated: true,
  mayBeParallel: false,
  biases: [],
  rootOfEmbedding: false,
  hasScales: false,
  hasExperts: false,
  hasConvolutions: false,
  outputNorm: 'output_norm',
};

const QWEN3: Architecture = { ...LLAMA, rope: 'halves', queryKeyNorm: 'heads' };

const GEMMA2: Architecture = {
  ...LLAMA,
  rope: 'halves',
  normAfter: true,
  activation: 'gelu',
  windows: { pattern: 2, length: 4096 },
  rootOfEmbedding: true,
  scaledQueries: { layersOfLargest: 46 },
  caps: { attention: 50, logits: 30 },
};

const GPT2: Architecture = {
  ...LLAMA,
  norm: 'layer',
  rope: 'none',
  activation: 'gelu',
  isGated: false,
  biases: ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_up', 'ffn_down'],
};

/** By `general.architecture`. */
export const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map<string, Architecture>([
  ['llama', LLAMA],
  ['qwen2', { ...LLAMA, rope: 'halves', biases: ['attn_q', 'attn_k', 'attn_v'] }],
  ['qwen3', QWEN3],
  ['qwen3moe', { ...QWEN3, hasExperts: true }],
  ['gemma2', GEMMA2],
  [
    'gemma3',
    {
      ...GEMMA2,
      queryKeyNorm: 'heads',
      windows: { pattern: 6, ropeBase: 10000, isUnscaled: true },
      scaledQueries: { layersOfLargest: 62 },
      caps: { attention: 0, logits: 0 },
    },
  ],
  ['granite', { ...LLAMA, hasScales: true }],
  ['smollm3', { ...LLAMA, layersPerUnrotated: 4 }],
  ['phi3', { ...LLAMA, rope: 'halves', scaledQueries: {} }],
  [
    'olmo2',
    {
      ...LLAMA,
      rope: 'halves',
      normBefore: false,
      normAfter: true,
      queryKeyNorm: 'row',
      // Of OLMo 3, which goes by the same name.
      windows: { pattern: 4, isUnscaled: true },
    },
  ],
  ['stablelm', { ...LLAMA, norm: 'layer', rope: 'halves', mayBeParallel: true, queryKeyNorm: 'ownHeads' }],
  ['starcoder2', { ...GPT2, rope: 'halves', biases: ['attn_output', 'ffn_up', 'ffn_down'] }],
  ['gpt2', GPT2],
  ['lfm2', { ...QWEN3, windows: { pattern: 0 }, hasConvolutions: true, outputNorm: 'token_embd_norm' }],
]);
