import { z } from 'zod';
import { MAX_CHECK_FILES, MAX_FRAME_BYTES, MAX_MATMUL_BYTES } from '../limits.js';
import { bytes, count, piece } from './common.js';

const json = z.string().max(MAX_FRAME_BYTES);

/** The lists that lie beside golden vectors, as JSON text; see the README of vectors. */
export const deviceListChecksParams = z.strictObject({
  index: json.optional(),
  counters: json.optional(),
  streams: json.optional(),
  softmax: json.optional(),
});
export const deviceListChecksResult = z.object({
  checks: z.array(
    z.object({
      name: z.string(),
      /** Vector files that the check needs. */
      files: z.array(z.string()),
      /** The check itself, as JSON text to hand back to device.runCheck. */
      check: json,
    }),
  ),
});

/** A piece of a vector file that is too large for a frame: for the session's next check, one piece after the other. */
export const deviceAddFileParams = z.strictObject({ name: z.string().max(200), offset: count, data: piece });

export const deviceRunCheckParams = z.strictObject({
  check: json,
  files: z.array(z.strictObject({ name: z.string().max(200), data: bytes })).max(MAX_CHECK_FILES),
});
/** What a golden check found. */
export interface DeviceCheckResult {
  /** Name of the check. */
  readonly name: string;
  /** Whether nothing differed. */
  readonly passed: boolean;
  /** Results that differ from the golden ones, NaN as a class. */
  readonly bitMismatches: number;
  /** Hardware counters that differ. */
  readonly counterMismatches: number;
  /** Counts of cycles that differ. */
  readonly cycleMismatches: number;
  /** Of a check of SOFT_MAX (revision v4), whose results are compared with a tolerance: none is a bit mismatch. */
  readonly softMax?:
    | {
        /** Results that came. */
        readonly results: number;
        /** Results further from the golden one than 1e-6 of it, and than 1e-7. */
        readonly outside: number;
        /** Results within the tolerance, but in other bits. */
        readonly otherBits: number;
      }
    | undefined;
  /** The first differences, for people. */
  readonly details: string[];
  /** Why it could not be made. */
  readonly error?: string | undefined;
}
export const deviceRunCheckResult: z.ZodType<DeviceCheckResult> = z.object({
  name: z.string(),
  passed: z.boolean(),
  bitMismatches: count,
  counterMismatches: count,
  cycleMismatches: count,
  softMax: z.object({ results: count, outside: count, otherBits: count }).optional(),
  details: z.array(z.string()),
  error: z.string().optional(),
});

/** Types of weights that the core multiplies. */
export const CORE_TYPE_NAMES = ['Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K'] as const;

/** A MatMul of one's own: weights as in a GGUF file, inputs as little-endian float32, one column after the other. */
export const deviceMatMulParams = z.strictObject({
  type: z.enum(CORE_TYPE_NAMES),
  rows: z.int().min(1).max(65_536),
  columns: z.int().min(256).max(65_536).multipleOf(256),
  weights: bytes.refine((data) => data.length <= MAX_MATMUL_BYTES),
  inputs: bytes.refine((data) => data.length > 0 && data.length <= MAX_MATMUL_BYTES && data.length % 4 === 0),
});
export const deviceMatMulResult = z.object({
  /** Little-endian float32: the rows of each input, one input after the other. */
  results: bytes,
  /** Cycles of the core in the board's timing. */
  coreCycles: count,
});
