export { type TokenLogprob, topLogprobs } from './logprobs.js';
export type { SamplingOptions } from './parameters.js';
export { type SampledToken, Sampler } from './sampler.js';
export { selectTop } from './select-top.js';
export { StopStrings } from './stop-strings.js';
