import { z } from 'zod';
import { bytes, count, float, text } from './common.js';

export const traceStopResult = z.object({
  /** Bytes of the trace; read them in pieces with trace.read. */
  bytes: count,
  events: count,
  /** Whether recording ended early because the trace grew too large. */
  truncated: z.boolean(),
});
export const traceReadParams = z.strictObject({ offset: count, byteLength: z.int().min(1).max(1_048_576) });
export const traceReadResult = z.object({ data: bytes });
export const traceWriteParams = z.strictObject({ offset: count, data: bytes });
export const traceReplayResult = z.object({
  events: count,
  /** The first event at which this device answered differently, in words; absent where all were equal. */
  firstDifference: z.object({ event: count, expected: text, actual: text }).optional(),
  durationMs: float,
});
