import { CORE_WORDS, coreTypeOf, GgmlType, SUPER_BLOCK } from '../gguf/index.js';

/** Parts of Q6_K that rows of other types become on a board (llm/core-form/ decides); those of none are the CPU's. */
const PARTS: Readonly<Partial<Record<GgmlType, 1 | 2>>> = {
  [GgmlType.Q4_0]: 1,
  [GgmlType.Q5_0]: 1,
  [GgmlType.Q4_1]: 2,
  [GgmlType.Q5_1]: 2,
  [GgmlType.Q8_0]: 2,
  [GgmlType.IQ4_NL]: 2,
  [GgmlType.IQ4_XS]: 2,
};

/** Bytes of DMA memory of a matrix as the core reads it at most: blocks of whole words, in rows of whole super-blocks. */
export function boardBytes(type: GgmlType, rows: number, columns: number): number {
  const coreType = coreTypeOf(type);
  const parts = coreType === undefined ? (PARTS[type] ?? 0) : 1;
  return 4 * CORE_WORDS[coreType ?? 6] * parts * rows * Math.ceil(columns / SUPER_BLOCK);
}
