import { z } from 'zod';
import { bytes, count, float, uint32 } from './common.js';

/** Little-endian 32-bit words: what one transfer on one lane carries. */
const words = bytes.refine((value) => value.length % 4 === 0, 'must be whole 32-bit words');

const counterCounts = z.array(z.object({ name: z.string(), target: uint32, cycles: uint32 }));

/** One MatMul with its own weights, as in a golden vector. Weights are GGUF blocks, inputs Q8_K blocks. */
export const deviceMatMulParams = z.strictObject({
  type: z.int().min(2).max(6),
  rows: z.int().min(1).max(65_536),
  columns: z.int().min(1).max(512),
  k: z.int().min(256).max(131_072).multipleOf(256),
  placement: z.enum(['resident', 'staged']),
  weights: bytes,
  inputs: bytes,
});
export const deviceMatMulResult = z.object({
  /** float32, little-endian, `out[n*rows + m]`. */
  outputs: bytes,
  cycles: float,
  counters: counterCounts,
});

/** A word-level scenario: transfers and waits in order. */
export const deviceStreamParams = z.strictObject({
  steps: z
    .array(
      z.union([
        z.strictObject({ send: words, lane: z.int().min(0).max(3) }),
        z.strictObject({ run: z.int().min(0).max(100_000_000) }),
      ]),
    )
    .max(4_096),
});
export const deviceStreamResult = z.object({
  /** Every word that output lane A sent, and whether TLAST came with it. */
  outputs: z.array(z.tuple([uint32, count])),
  status: z.array(uint32),
});
