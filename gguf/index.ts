export { type ByteSource, bytesSource, type FileSource, type FileSystem, fileSource } from './byte-source.js';
export { dequantizeRow } from './dequantize.js';
export { bfloatToFloat, floatToBfloat, floatToHalf, halfToFloat } from './half.js';
export { type GgufNumbers, type GgufValue, GgufValueType } from './metadata.js';
export { multiplyBlockRow } from './multiply-block-row.js';
export { quantizeQ8K } from './q8k.js';
export { GgufFile, openGguf } from './reader.js';
export type { GgufTensor } from './tensors.js';
export {
  BLOCK_FORMATS,
  type BlockFormat,
  CORE_BLOCK_BYTES,
  CORE_TYPES,
  CORE_WORDS,
  type CoreType,
  coreTypeOf,
  GgmlType,
  ggmlTypeOf,
  Q8K_BYTES,
  rowBytes,
  SUPER_BLOCK,
} from './types.js';
