export { chooseWithin } from './budget.js';
export { ImportanceMatrix } from './importance.js';
export { type Candidate, type MeasuredTensor, measureMatrices, unmeasuredBytes } from './measure.js';
export { isQuantized, type Mixture, mixtureOf } from './mixtures.js';
export {
  planQuantization,
  type QuantizeOptions,
  type QuantizePlan,
  quantizeFile,
} from './quantize-file.js';
export { exactRule, parseTensorRule, tensorTypeOf } from './tensor-rules.js';
