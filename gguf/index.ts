export { SUPER_BLOCK_CODECS, SUPER_BLOCK_READERS } from './blocks/codecs.js';
export { gridOf, MOST_GRID_BYTES } from './blocks/grids.js';
export { newSuperBlock } from './blocks/super-block.js';
export { fileSink } from './byte-sink.js';
export { type ByteSource, bytesSource, type FileSource, fileSource } from './byte-source.js';
export { dequantizeRow } from './dequantize.js';
export { bfloatToFloat, floatToBfloat, floatToHalf, halfToFloat } from './half.js';
export type { GgufValue } from './metadata.js';
export { type ModelSource, modelSource } from './model-source.js';
export { multiplyBlockRow } from './multiply-block-row.js';
export { PADDED_ROWS_KEYS, paddedColumns, paddedRowBytes } from './padded-rows.js';
export { quantizeQ8K } from './q8k.js';
export { quantizeRow } from './quantize.js';
export { readRawMetadata } from './raw-metadata.js';
export { alignUp, DEFAULT_ALIGNMENT, GgufFile, openGguf, openHeader } from './reader.js';
export { SPLIT_KEYS } from './split-name.js';
export {
  type LlamaDimensions,
  syntheticLlamaHeader,
  TINY_LLAMA_1B,
  writeSyntheticLlama,
} from './synthetic/llama.js';
export type { GgufTensor } from './tensors.js';
export {
  BLOCK_FORMATS,
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
export { type GgufEntry, ggufHeader, type TensorToWrite, writeGguf } from './write.js';
