import { z } from 'zod';
import {
  ERROR_CODES,
  type ErrorCodeName,
  isPynqLlmError,
  PynqLlmError,
  type WireError,
} from '../errors/index.js';

/** Longest text of an error that is sent; more is left out from its middle. */
const MAX_ERROR_TEXT = 8_192;

/** An error as it crosses the wire; see errors/. */
export const wireError: z.ZodType<WireError> = z.object({
  code: z.string().max(100),
  message: z.string().max(65_536),
  context: z.record(
    z.string(),
    z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.union([z.string(), z.number()]))]),
  ),
});

/** Makes the other side's error one of ours, with the same code and the same message. */
export function errorFromWire(wire: WireError): PynqLlmError {
  if (!Object.hasOwn(ERROR_CODES, wire.code))
    return new PynqLlmError('PROTOCOL_FOREIGN_ERROR', `The other side says: ${wire.message}`, {
      context: { ...wire.context, code: wire.code },
    });
  const code = wire.code as ErrorCodeName;
  const text = wire.message.replace(/^\[PL\d+ [A-Z0-9_]+\] /, '');
  const usual = ` ${ERROR_CODES[code].remedy}`;
  if (text.endsWith(usual))
    return new PynqLlmError(code, text.slice(0, -usual.length), { context: wire.context });
  // A remedy of the occurrence's own is the last sentence.
  const split = text.lastIndexOf('. ', text.length - 2);
  const detail = { context: wire.context, remedy: split < 0 ? '' : text.slice(split + 2) };
  return new PynqLlmError(code, split < 0 ? text : text.slice(0, split + 1), detail);
}

/**
 * The wire form of anything that was thrown. What is not ours is a fault of the program: it crosses as
 * `internalCode` without its stack.
 */
export function errorToWire(error: unknown, internalCode: ErrorCodeName): WireError {
  if (isPynqLlmError(error)) return bounded(error.toWire());
  const what = error instanceof Error ? error.message : String(error);
  return bounded(new PynqLlmError(internalCode, `An unexpected error: ${what}.`).toWire());
}

/** An error that quotes what a client sent would otherwise not fit into the frame that should tell it. */
function bounded({ code, message, context }: WireError): WireError {
  const fields = Object.entries(context).map(([key, value]) => [
    key,
    typeof value === 'string' ? shortened(value) : value,
  ]);
  return { code, message: shortened(message), context: Object.fromEntries(fields) };
}

function shortened(text: string): string {
  if (text.length <= MAX_ERROR_TEXT) return text;
  return `${text.slice(0, MAX_ERROR_TEXT / 2)} … ${text.slice(-MAX_ERROR_TEXT / 4)}`;
}
