import { z } from 'zod';
import { MAX_CHECK_FILES, MAX_FRAME_BYTES } from '../limits.js';
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
