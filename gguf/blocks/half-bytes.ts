import { floatToHalf, halfToFloat } from '../half.js';

/** The half at byte `at`, little-endian. */
export function readHalf(bytes: Uint8Array, at: number): number {
  return halfToFloat(bytes[at] | (bytes[at + 1] << 8));
}

export function writeHalf(value: number, bytes: Uint8Array, at: number): void {
  const half = floatToHalf(value);
  bytes[at] = half;
  bytes[at + 1] = half >> 8;
}
