import {
  BLOCK_FORMATS,
  CORE_BLOCK_BYTES,
  GgmlType,
  newSuperBlock,
  SUPER_BLOCK_CODECS,
  SUPER_BLOCK_READERS,
} from '../../gguf/index.js';

const Q6K = SUPER_BLOCK_CODECS[6];
const Q6K_BYTES = CORE_BLOCK_BYTES[6];
const block = newSuperBlock();

/** Quants of IQ3_XXS go beyond six bits and are even: a scale takes the two. */
const DIVISORS: Readonly<Partial<Record<GgmlType, number>>> = { [GgmlType.IQ3_XXS]: 2 };

/** Whether super-blocks of a type go into Q6_K with the same integers. */
export function isSuperType(type: GgmlType): boolean {
  return SUPER_BLOCK_READERS[type] !== undefined;
}

/**
 * A row of super-blocks without mins as Q6_K, exactly: the same d, which a half holds unless it is near the smallest, times scales and
 * quants.
 *
 * @param out receives 210 bytes a block
 */
export function coreRowOfSuper(type: GgmlType, row: Uint8Array, blocks: number, out: Uint8Array): void {
  const { blockBytes } = BLOCK_FORMATS[type];
  const divisor = DIVISORS[type] ?? 1;
  for (let i = 0; i < blocks; i++) {
    SUPER_BLOCK_READERS[type]?.unpack(row, i * blockBytes, block);
    for (let j = 0; j < block.quants.length; j++) block.quants[j] /= divisor;
    for (let j = 0; j < block.scales.length; j++) block.scales[j] *= divisor;
    Q6K.pack(block, out, i * Q6K_BYTES);
  }
}
