/** Offsets in a prepared input block: 256 int8 quants, 16 sums of 16 quants, 16 sums as sent (int16), float32 scale. */
export const QUANTS: usize = 0;
export const GROUP_SUMS: usize = 256;
export const SENT_SUMS: usize = 288;
export const SCALE: usize = 320;
export const PREPARED_BYTES: usize = 336;

/** Q8_K as it arrives: float32 d, 256 int8 quants, 16 int16 sums. */
export const Q8K_QUANTS: usize = 4;
export const Q8K_SUMS: usize = 260;
export const Q8K_BYTES: usize = 292;
