export { type TokenLogProb, topLogProbs } from './log-probs.js';
export {
  checkSampling,
  DEFAULT_SAMPLING,
  type SamplingOptions,
  type SamplingParameters,
} from './parameters.js';
export { type SampledToken, Sampler } from './sampler.js';
export { type StopResult, StopStrings } from './stop-strings.js';
