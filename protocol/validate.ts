import type { z } from 'zod';
import { type ErrorCodeName, PynqLlmError } from '../errors/index.js';
import { MAX_REASON_LENGTH } from './limits.js';
import {
  METHODS,
  type MethodName,
  type Params,
  type Result,
  type StreamEvent,
  type StreamMethodName,
} from './methods.js';

/** @throws PynqLlmError PROTOCOL_BAD_PARAMS naming the parameter and the reason */
export function checkParams<M extends MethodName>(method: M, params: unknown): Params<M> {
  return check(METHODS[method].params, params, 'PROTOCOL_BAD_PARAMS', `Parameters of ${method}`) as Params<M>;
}

/** @throws PynqLlmError PROTOCOL_BAD_RESULT */
export function checkResult<M extends MethodName>(method: M, result: unknown): Result<M> {
  return check(METHODS[method].result, result, 'PROTOCOL_BAD_RESULT', `The result of ${method}`) as Result<M>;
}

/** @throws PynqLlmError PROTOCOL_BAD_RESULT */
export function checkEvent<M extends StreamMethodName>(method: M, event: unknown): StreamEvent<M> {
  return check(
    METHODS[method].event,
    event,
    'PROTOCOL_BAD_RESULT',
    `An event of ${method}`,
  ) as StreamEvent<M>;
}

function check(schema: z.ZodType, value: unknown, code: ErrorCodeName, what: string): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const reasons = parsed.error.issues
    .slice(0, 3)
    .map(({ path, message }) => `${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`)
    .map((reason) => (reason.length > MAX_REASON_LENGTH ? `${reason.slice(0, MAX_REASON_LENGTH)}…` : reason));
  throw new PynqLlmError(code, `${what} cannot be accepted: ${reasons.join('; ')}.`);
}
