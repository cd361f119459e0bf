import { z } from 'zod';
import { MAX_CHECK_FILES, MAX_FRAME_BYTES } from '../limits.js';
import { bytes, count, piece } from './common.js';

const json = z.string().max(MAX_FRAME_BYTES);

/** The lists that lie beside golden vectors, as JSON text; see the README of vectors. */
export const deviceListChecksParams = z.strictObject({
  index: json.optional(),
  counters: json.optional(),
  streams: json.optional(),
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
export const deviceRunCheckResult = z.object({
  name: z.string(),
  passed: z.boolean(),
  bitMismatches: count,
  counterMismatches: count,
  cycleMismatches: count,
  details: z.array(z.string()),
  error: z.string().optional(),
});
/** @interface */
export type DeviceCheckResult = z.output<typeof deviceRunCheckResult>;
