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
const quants = new Int8Array(block.quants.length);
const scales = new Int8Array(block.scales.length);

/**
 * What quants of a type are divided by to fit into six bits; a scale takes it up. IQ3_XXS has even ones alone. Of IQ4_XS the second
 * part has the remainders.
 */
const DIVISORS: Readonly<Partial<Record<GgmlType, number>>> = { [GgmlType.IQ3_XXS]: 2, [GgmlType.IQ4_XS]: 4 };

/** Whether super-blocks of a type go into Q6_K with the same integers. */
export function isSuperType(type: GgmlType): boolean {
  return SUPER_BLOCK_READERS[type] !== undefined;
}

/**
 * A row of super-blocks without mins as Q6_K, exactly: the same d, which a half holds unless it is near the smallest, times scales and
 * quants.
 *
 * @param out receives 210 bytes a block; with two parts all of the first before those of the second
 */
export function coreRowOfSuper(
  type: GgmlType,
  row: Uint8Array,
  blocks: number,
  parts: number,
  out: Uint8Array,
): void {
  const { blockBytes } = BLOCK_FORMATS[type];
  const divisor = DIVISORS[type] ?? 1;
  for (let i = 0; i < blocks; i++) {
    SUPER_BLOCK_READERS[type]?.unpack(row, i * blockBytes, block);
    quants.set(block.quants);
    scales.set(block.scales);
    // -127 / 4 and 113 / 4, rounded down, are within -32 and 31.
    for (let j = 0; j < quants.length; j++) block.quants[j] = Math.floor(quants[j] / divisor);
    for (let j = 0; j < scales.length; j++) block.scales[j] = scales[j] * divisor;
    Q6K.pack(block, out, i * Q6K_BYTES);
    if (parts === 1) continue;
    for (let j = 0; j < quants.length; j++) block.quants[j] = quants[j] - divisor * block.quants[j];
    block.scales.set(scales);
    Q6K.pack(block, out, (blocks + i) * Q6K_BYTES);
  }
}
