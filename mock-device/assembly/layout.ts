/**
 * Offsets in a prepared input block: 256 int8 quants in the order of `firstPairs` and `lastPairs`, -4 times the sums of 16 quants,
 * the sums as sent (16 int16 each), float32 scale.
 */
export const QUANTS: usize = 0;
export const OFFSET_SUMS: usize = 256;
export const SENT_SUMS: usize = 288;
export const SCALE: usize = 320;
export const PREPARED_BYTES: usize = 336;

/** Q8_K as it arrives: float32 d, 256 int8 quants, 16 int16 sums. */
export const Q8K_QUANTS: usize = 4;
export const Q8K_SUMS: usize = 260;
export const Q8K_BYTES: usize = 292;

/** A plane: 32 neighbours of a block, weights or quants, which are two groups of 16. */
export const PLANE_BYTES: usize = 32;

/**
 * The first four pairs of bytes of each group of a plane, from one group and the other in turn. Weights and quants are multiplied in
 * this order, because what the first pairs make can be added to what the last ones make, and one product more gives both
 * groups their scales.
 */
@inline
export function firstPairs(first: v128, second: v128): v128 {
  return i16x8.shuffle(first, second, 0, 8, 1, 9, 2, 10, 3, 11);
}

/** The last four pairs. */
@inline
export function lastPairs(first: v128, second: v128): v128 {
  return i16x8.shuffle(first, second, 4, 12, 5, 13, 6, 14, 7, 15);
}
