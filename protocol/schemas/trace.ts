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

/** How a device behaved when a trace was done again. */
export interface TraceReplay {
  /** Events that were compared. */
  readonly events: number;
  /** The first event at which this device did something else; absent where all were equal. */
  readonly difference?:
    | {
        /** Line of the trace, from 1. */
        readonly line: number;
        /** What differs. */
        readonly what: string;
        /** What the trace has. */
        readonly expected: string;
        /** What this device did. */
        readonly got: string;
      }
    | undefined;
}
export const traceReplayResult: z.ZodType<TraceReplay> = z.object({
  events: count,
  difference: z.object({ line: count, what: z.string(), expected: z.string(), got: z.string() }).optional(),
});
