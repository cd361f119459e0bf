export { ImportanceMatrix } from './importance.js';
export { type Mixture, mixtureOf } from './mixtures.js';
export {
  planQuantization,
  type QuantizePlan,
  quantizeFile,
} from './quantize-file.js';
export { parseTensorRule, tensorTypeOf } from './tensor-rules.js';
