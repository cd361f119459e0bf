import { cos, log, pow, sin } from '../../maths/index.js';
import type { RopeConfig, YarnConfig } from './rope-config.js';

/**
 * Rotary position embedding: pairs of values of a head, (2i, 2i + 1) or (i, i + dimensions / 2), are turned by the angle
 * position * base^(-2i / dimensions). The angles are built as llama.cpp builds them, by repeated float32 multiplication,
 * because a different last bit of an angle shows in the 8-bit rounding of activations further on.
 */
export class Rope {
  readonly #config: RopeConfig;
  readonly #pairs: number;
  readonly #thetaScale: number;
  readonly #factors: Float32Array | undefined;
  /** Share of the unscaled angle per pair (YaRN), or undefined without YaRN. */
  readonly #unscaledShare: Float32Array | undefined;
  readonly #magnitude: number;

  /** @param factors of LLaMA 3 or LongRoPE: a divisor of the angle for every pair */
  constructor(config: RopeConfig, factors: Float32Array | undefined) {
    this.#config = config;
    this.#pairs = config.dimensions / 2;
    this.#thetaScale = Math.fround(pow(config.base, -2 / config.dimensions));
    this.#factors = factors;
    this.#unscaledShare = config.yarn && yarnShares(config, config.yarn);
    const magnified = config.yarn ? 1 + 0.1 * log(1 / config.scale) : 1;
    this.#magnitude = Math.fround(config.attentionFactor * magnified);
  }

  /** float32 values of one row of {@link fillAngles}. */
  get rowLength(): number {
    return this.#config.dimensions;
  }

  /** Writes cos and sin of every pair at `position`, alternating, to `out` from `at` on. */
  fillAngles(position: number, out: Float32Array, at: number): void {
    let unscaled = position;
    for (let pair = 0; pair < this.#pairs; pair++) {
      const angle = this.#angle(this.#factors ? Math.fround(unscaled / this.#factors[pair]) : unscaled, pair);
      out[at + 2 * pair] = cos(angle) * this.#magnitude;
      out[at + 2 * pair + 1] = sin(angle) * this.#magnitude;
      unscaled = Math.fround(unscaled * this.#thetaScale);
    }
  }

  #angle(unscaled: number, pair: number): number {
    const scaled = Math.fround(unscaled * this.#config.scale);
    if (this.#unscaledShare === undefined) return scaled;
    const share = this.#unscaledShare[pair];
    return Math.fround(scaled * (1 - share) + unscaled * share);
  }
}

/** How far each pair keeps its unscaled angle: 1 for pairs that turn often in the trained context, 0 for slow ones. */
function yarnShares(
  { dimensions, base, originalContext }: RopeConfig,
  { extrapolation, betaFast, betaSlow }: YarnConfig,
): Float32Array {
  const dimensionOfTurns = (turns: number): number =>
    (dimensions * log(originalContext / (turns * 2 * Math.PI))) / (2 * log(base));
  const low = Math.max(0, Math.floor(dimensionOfTurns(betaFast)));
  const high = Math.min(dimensions - 1, Math.ceil(dimensionOfTurns(betaSlow)));
  return Float32Array.from({ length: dimensions / 2 }, (_, pair) => {
    const ramp = (pair - low) / Math.max(0.001, high - low);
    return extrapolation * (1 - Math.min(1, Math.max(0, ramp)));
  });
}
