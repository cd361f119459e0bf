import { z } from 'zod';
import type { BoardDescription } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';

/** Version of the format in docs/trace-format.md. */
export const TRACE_VERSION = 1;

/** The most bytes in one `data` or `result` event. */
export const CHUNK_BYTES = 65_536;

const id = z.number().int().min(1);
const count = z.number().int().min(0);
const word = z.number().int().min(0).max(0xffff_ffff);
const base64 = z.base64().max(4 * CHUNK_BYTES);
/** A wait's limit; no wait of a driver comes near an hour, and a clock moved by more would no longer count single cycles. */
const timeoutUs = z.number().min(0).max(3_600_000_000);
/** A register's value; in an address register a place in a buffer, because physical addresses differ between boards. */
const value = z.union([word, z.strictObject({ buffer: id, at: count })]);
/** Of a buffer; all of it unless given. */
const range = { buffer: id, at: count.optional(), bytes: count.optional() };
const register = { window: z.string().max(64), register: z.string().max(64) };

export const traceHeader = z.strictObject({
  trace: z.literal('pynq-llm'),
  version: z.literal(TRACE_VERSION),
  board: z.string().max(200),
  revision: z.enum(['v1', 'v3', 'v4']),
  lanes: z.number().int(),
  windows: z.array(z.string().max(64)).max(64),
});

export const traceEvent = z.discriminatedUnion('event', [
  z.strictObject({
    event: z.literal('allocate'),
    buffer: id,
    bytes: z.number().int().min(1),
    align: count.optional(),
  }),
  z.strictObject({ event: z.literal('data'), buffer: id, at: count, bytes: base64 }),
  z.strictObject({ event: z.literal('give-device'), ...range }),
  z.strictObject({ event: z.literal('give-cpu'), ...range }),
  z.strictObject({ event: z.literal('result'), buffer: id, at: count, bytes: base64 }),
  z.strictObject({ event: z.literal('free'), buffer: id }),
  z.strictObject({ event: z.literal('read'), ...register, value }),
  z.strictObject({ event: z.literal('write'), ...register, value }),
  z.strictObject({ event: z.literal('poll'), ...register, value, timeoutUs }),
  z.strictObject({ event: z.literal('timeout'), timeoutUs }),
  z.strictObject({ event: z.literal('reset-logic') }),
  z.strictObject({ event: z.literal('faults'), names: z.array(z.string().max(200)).max(64) }),
]);

export type TraceHeader = z.infer<typeof traceHeader>;
export type TraceEvent = z.infer<typeof traceEvent>;
export type TraceValue = z.infer<typeof value>;

/** What a trace says of the board that it was recorded on. */
export function headerOf(description: BoardDescription): TraceHeader {
  return {
    trace: 'pynq-llm',
    version: TRACE_VERSION,
    board: description.name,
    revision: description.revision,
    lanes: description.dma.lanes,
    windows: Object.keys(description.windows),
  };
}

/**
 * Reads one line of a trace.
 * @param line number of the line, from 1, for the error
 * @throws PynqLlmError DRIVER_BAD_TRACE
 */
export function parseLine<T>(schema: z.ZodType<T>, text: string, line: number): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? cause.issues[0].message : 'not JSON';
    throw new PynqLlmError('DRIVER_BAD_TRACE', `Line ${line} of the trace is not as documented: ${why}.`, {
      context: { line },
      cause,
    });
  }
}
