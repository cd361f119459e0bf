import { BLOCK_FORMATS, GgmlType } from '../gguf/index.js';

/** Where the halves of a block are that all its values are multiplied with. */
const HALVES: Readonly<Partial<Record<GgmlType, readonly number[]>>> = {
  [GgmlType.F16]: [0],
  [GgmlType.Q4_0]: [0],
  [GgmlType.Q4_1]: [0, 2],
  [GgmlType.Q5_0]: [0],
  [GgmlType.Q5_1]: [0, 2],
  [GgmlType.Q8_0]: [0],
  [GgmlType.Q2_K]: [80, 82],
  [GgmlType.Q3_K]: [108],
  [GgmlType.Q4_K]: [0, 2],
  [GgmlType.Q5_K]: [0, 2],
  [GgmlType.Q6_K]: [208],
  [GgmlType.IQ4_NL]: [0],
  [GgmlType.IQ4_XS]: [0],
};
/** All ones are infinities and NaNs: in the high byte of a half, and in the first 9 bits of a BF16. */
const HALF_EXPONENT = 0x7c;
const BFLOAT_EXPONENT = 0x7f80;

/**
 * Whether blocks hold finite values: weights of a source that a half cannot hold, and absurd importance, become infinite scales.
 * llama-quantize gives up in such a case, too.
 */
export function areFinite(type: GgmlType, blocks: Uint8Array): boolean {
  const { blockBytes } = BLOCK_FORMATS[type];
  if (type === GgmlType.BF16) {
    for (let at = 0; at < blocks.length; at += 2)
      if (((blocks[at] | (blocks[at + 1] << 8)) & BFLOAT_EXPONENT) === BFLOAT_EXPONENT) return false;
    return true;
  }
  for (const half of HALVES[type] ?? [])
    for (let at = half + 1; at < blocks.length; at += blockBytes)
      if ((blocks[at] & HALF_EXPONENT) === HALF_EXPONENT) return false;
  return true;
}
