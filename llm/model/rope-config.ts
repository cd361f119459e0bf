import { PynqLlmError } from '../../errors/index.js';
import type { Metadata } from '../metadata.js';
import type { Architecture } from './architectures.js';

/** How RoPE's angles differ from position * base^(-2i/d): `rope.scaling.*` and the tensors of factors. */
export interface RopeConfig {
  /** Which values of a head are turned together. */
  readonly pairs: Architecture['rope'];
  /** Leading values of every head that are rotated, an even number; 0 without RoPE. */
  readonly dimensions: number;
  readonly base: number;
  /** Positions are multiplied by this: 1 / `rope.scaling.factor`. */
  readonly scale: number;
  /** YaRN mixes scaled and unscaled angles between two dimensions that follow from the trained context length. */
  readonly yarn: YarnConfig | undefined;
  /** The context before it was made longer: beyond it LongRoPE divides angles by other factors. */
  readonly originalContext: number;
  /** LongRoPE: the file must have factors. */
  readonly needsFactors: boolean;
  /** Rotated values are multiplied by this, with YaRN by 1 + 0.1 ln(1 / scale) of it. */
  readonly attentionFactor: number;
}

/** `rope.scaling.*` of YaRN (Peng et al. 2023). */
export interface YarnConfig {
  /** Of the mixture: 1 is YaRN, and less is nearer to plain scaling. */
  readonly extrapolation: number;
  /** Full turns over the original context from which on, and up to which, pairs are not mixed. */
  readonly betaFast: number;
  readonly betaSlow: number;
}

const MOST_CONTEXT = 1 << 22;
/** Factors below are nobody's: what they divide or multiply would leave float32. */
const LEAST_FACTOR = 1e-6;

/**
 * RoPE of a model, from its metadata.
 * @param prefix of the architecture's keys
 * @throws PynqLlmError LLM_METADATA_INVALID, LLM_ROPE_SCALING_UNSUPPORTED
 */
export function readRope(
  metadata: Metadata,
  prefix: string,
  pairs: Architecture['rope'],
  headDim: number,
  trainedContext: number,
): RopeConfig {
  const plain = {
    pairs,
    scale: 1,
    attentionFactor: 1,
    yarn: undefined,
    originalContext: trainedContext,
    needsFactors: false,
  };
  if (pairs === 'none') return { ...plain, dimensions: 0, base: 1 };
  const dimensions = metadata.integer(`${prefix}.rope.dimension_count`, 2, 1 << 20, headDim);
  if (dimensions % 2 !== 0 || dimensions > headDim) {
    throw metadata.invalid(
      `${prefix}.rope.dimension_count`,
      `${dimensions} is not an even number up to the head's ${headDim}`,
    );
  }
  const key = `${prefix}.rope.scaling`;
  // Where a file names a factor and no type, llama.cpp scales linearly; scale_linear is the key of older files.
  const type = metadata.text(`${key}.type`, 'linear');
  const linear = metadata.number(`${prefix}.rope.scale_linear`, 0, 1e6, 0);
  const factor = metadata.number(`${key}.factor`, 0, 1e6, linear) || 1;
  if (factor < LEAST_FACTOR) throw metadata.invalid(`${key}.factor`, `${factor} is too small`);
  const rope = {
    ...plain,
    dimensions,
    originalContext: metadata.integer(`${key}.original_context_length`, 1, MOST_CONTEXT, trainedContext),
    base: metadata.number(`${prefix}.rope.freq_base`, 1, 1e12, 10000),
    attentionFactor:
      metadata.number(`${key}.attn_factor`, LEAST_FACTOR, 1e3, 1) *
      metadata.number(`${key}.yarn_attn_factor`, LEAST_FACTOR, 1e3, 1),
  };
  const scale = Math.fround(1 / factor);
  switch (type) {
    case 'none':
      return rope;
    case 'linear':
      return { ...rope, scale };
    case 'longrope':
      return { ...rope, scale, needsFactors: true };
    case 'yarn':
      // Where dimensions cross from one kind of angle to the other is asked of the base's logarithm.
      if (rope.base === 1)
        throw metadata.invalid(`${prefix}.rope.freq_base`, 'with YaRN it has to be over 1');
      return { ...rope, scale, yarn: readYarn(metadata, key) };
    default:
      throw new PynqLlmError('LLM_ROPE_SCALING_UNSUPPORTED', `${key}.type is "${type.slice(0, 64)}".`, {
        context: { type: type.slice(0, 64), supported: ['none', 'linear', 'yarn', 'longrope'] },
      });
  }
}

function readYarn(metadata: Metadata, key: string): YarnConfig | undefined {
  const extrapolation = metadata.number(`${key}.yarn_ext_factor`, 0, 1, 1);
  // The angles are scaled and nothing else then.
  if (extrapolation === 0) return undefined;
  return {
    extrapolation,
    betaFast: metadata.number(`${key}.yarn_beta_fast`, 1e-3, 1e6, 32),
    betaSlow: metadata.number(`${key}.yarn_beta_slow`, 1e-3, 1e6, 1),
  };
}
