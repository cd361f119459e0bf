import { z } from 'zod';
import { MAX_PIECE_BYTES } from '../limits.js';
import { bytes, count, piece } from './common.js';

export const traceStopResult = z.object({
  /** Length of the trace; read it in pieces with trace.read. */
  bytes: count,
});
export const traceReadParams = z.strictObject({
  offset: count,
  byteLength: z.int().min(1).max(MAX_PIECE_BYTES),
});
export const traceReadResult = z.object({ data: bytes });

/** Pieces of a trace to replay, from offset 0 upwards without gaps; offset 0 begins a new one. */
export const traceWriteParams = z.strictObject({ offset: count, data: piece });

export const traceReplayResult = z.object({
  events: count,
  /** The first event at which this device did something else; absent where all were equal. */
  difference: z.object({ line: count, what: z.string(), expected: z.string(), got: z.string() }).optional(),
});
/** @interface */
export type TraceReplay = z.output<typeof traceReplayResult>;
