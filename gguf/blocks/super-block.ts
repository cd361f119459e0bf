import { SUPER_BLOCK } from '../types.js';

/**
 * The fields of one super-block of 256 weights, unpacked into the order of the values:
 * weight i = d * scales[i >> 4] * quants[i] - dmin * mins[i >> 4].
 * Types with a scale for 32 weights (Q4_K, Q5_K) have each scale and min twice.
 */
export interface SuperBlock {
  /** float32 values of the block's halves; `dmin` is 0 for types without mins. */
  d: number;
  dmin: number;
  readonly scales: Int8Array;
  /** All zero for types without mins. */
  readonly mins: Uint8Array;
  readonly quants: Int8Array;
}

export function newSuperBlock(): SuperBlock {
  return {
    d: 0,
    dmin: 0,
    scales: new Int8Array(SUPER_BLOCK / 16),
    mins: new Uint8Array(SUPER_BLOCK / 16),
    quants: new Int8Array(SUPER_BLOCK),
  };
}

/** How to get from the bytes of a type to fields. */
export interface SuperBlockReader {
  readonly hasMins: boolean;
  /** Reads the block that starts at byte `at`. */
  unpack(bytes: Uint8Array, at: number, into: SuperBlock): void;
}

/** What one K-quant type looks like, and how to get from bytes to fields and back. */
export interface SuperBlockCodec extends SuperBlockReader {
  /** Weights that share a scale: 16 or 32. */
  readonly groupSize: 16 | 32;
  /** Range of a quant. */
  readonly quantRange: readonly [number, number];
  /** Range of a scale; mins go from 0 to the same upper end. */
  readonly scaleRange: readonly [number, number];
  /** Writes the block that starts at byte `at`; fields must be in range and d, dmin exact as halves. */
  pack(block: SuperBlock, bytes: Uint8Array, at: number): void;
}
