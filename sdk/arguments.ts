import { z } from 'zod';
import { PynqLlmError } from '../errors/index.js';

/** The longest that a timer takes: 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Checks arguments before anything is done with them: plain JavaScript gets an error that names the argument, instead of
 * whatever fails later. What a request carries is checked with the request.
 * @param values the arguments by their names
 * @throws PynqLlmError SDK_ARGUMENT about the first wrong one
 */
export function requireArguments(values: Readonly<Record<string, unknown>>, shape: z.ZodType): void {
  const { error } = shape.safeParse(values);
  if (error === undefined) return;
  const [{ path, message }] = error.issues;
  const argument = path.join('.');
  throw new PynqLlmError('SDK_ARGUMENT', `${argument} cannot be accepted: ${message}.`, {
    context: { argument },
  });
}

/** Options, of which those that are named are checked. */
export const optionsOf = (shape: z.core.$ZodLooseShape) => z.looseObject(shape);

export const callback = z.custom((value) => typeof value === 'function', 'must be a function').optional();
export const signal = z.custom((value) => value instanceof AbortSignal, 'must be an AbortSignal').optional();
export const milliseconds = z.number().min(0).max(MAX_TIMER_MS).optional();
/** As `milliseconds`, where no timer runs so long. */
export const anyMilliseconds = z
  .custom((value) => typeof value === 'number' && value >= 0, 'must be a number of milliseconds from 0')
  .optional();
export const bytes = z.custom((value) => value instanceof Uint8Array, 'must be a Uint8Array');
/** Something to iterate that is not a text. */
export const listOf = (what: string) =>
  z.custom(
    (value) => typeof value === 'object' && value !== null && Symbol.iterator in value,
    `must be a list of ${what}`,
  );
export const call = optionsOf({ timeoutMs: milliseconds, signal });
