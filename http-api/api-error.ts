import { z } from 'zod';
import { type ErrorContext, isPynqLlmError, type PynqLlmError } from '../errors/index.js';

const RETRY_MS = 1_000;

/** Errors quote what was sent, which may be megabytes. */
const MAX_MESSAGE_LENGTH = 1_000;
/** The table of a model's memory is ours, and cut it says nothing. */
const MAX_MEMORY_LENGTH = 8_000;
const MAX_PARAM_LENGTH = 100;

const UNEXPECTED = 'internal_error';

/** An error in OpenAI's form, with its HTTP status. */
export class ApiError extends Error {
  constructor(
    readonly status: 400 | 401 | 403 | 404 | 408 | 413 | 415 | 429 | 500 | 503 | 504,
    message: string,
    readonly code: string,
    /** The request's field that is wrong. */
    readonly param: string | null = null,
    /** When it is worth asking again; what is busy or away does not know for how long. */
    readonly retryAfterMs: number | undefined = status === 429 || status === 503 ? RETRY_MS : undefined,
    /** What was generated before. */
    readonly partialText: string | undefined = undefined,
    /** The lines of what a model takes that does not fit, and what would. */
    readonly memory: ErrorContext | undefined = undefined,
    /** Whether the same request may fare better later; only said where clients would think so. */
    readonly isWorthRetrying: boolean = true,
  ) {
    super(shortened(message, memory === undefined ? MAX_MESSAGE_LENGTH : MAX_MEMORY_LENGTH));
  }

  /** Whether it is an error of this server that has no code of its own. */
  get isUnexpected(): boolean {
    return this.code === UNEXPECTED;
  }

  /** What the client is sent. */
  get body() {
    const { message, code, param, status, partialText, memory } = this;
    const partial = partialText === undefined ? {} : { partial_text: partialText };
    const sum = memory === undefined ? {} : { memory };
    return { error: { message, type: TYPES[status], param, code, ...partial, ...sum } };
  }
}

const TYPES: Readonly<Record<ApiError['status'], string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'invalid_request_error',
  408: 'invalid_request_error',
  413: 'invalid_request_error',
  415: 'invalid_request_error',
  429: 'rate_limit_error',
  500: 'server_error',
  503: 'service_unavailable',
  504: 'timeout',
};

/** The model that was named does not fit the board. */
const MEMORY = /^LLM_MEMORY_/;

/** Statuses of errors that the client can do something about; every other error is the server's. */
const STATUSES: readonly (readonly [RegExp, ApiError['status']])[] = [
  [/^AGENT_MODEL_UNKNOWN$|^SDK_MODEL_NAME$/, 404],
  // Asking again does not help, as clients do after a 5xx: the model has to be another one.
  [MEMORY, 400],
  [/^LLM_(CHAT|SAMPLING|SCHEMA|PROMPT|CONTEXT|TOKEN|STOP|REQUEST)|^PROTOCOL_BAD_PARAMS$/, 400],
  // What a fleet refuses for as long as it is served as it is.
  [/^FLEET_(NOT_SERVED|STAGE_DRAFT|LINKS_OFF|PLAN_|TENSOR_(UNSUPPORTED|DOES_NOT_FIT|DOES_NOT_PAY)$)/, 400],
  [/^AGENT_UNAUTHORISED$/, 401],
  [/TOO_MANY|_BUSY$|_QUOTA$|_LIMIT$|^LLM_(OVERLOADED|KV_FULL)$/, 429],
  [/^LLM_DEADLINE$/, 504],
  [
    /^LLM_PREDICTED_LATE$|^FLEET_(NO_BOARDS|NO_PLAN|BROKER_AWAY|GENERATION_UNKNOWN)$|^BUS_(UNAVAILABLE|STORE_FULL|BUSY)$/,
    503,
  ],
  [
    /^SDK_(CONNECT|CONNECTION|CLOSED)|^AGENT_(DEVICE_FAILED|CLOSING|DRAINING)$|^PROTOCOL_REQUEST_TIMEOUT$/,
    503,
  ],
];

/**
 * Any error as the client is told of it; the code of ours goes with it, the stack never does.
 * @param answers that the request asked for: those before one of them may all be its own
 */
export function toApiError(error: unknown, answers = 1): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof z.ZodError) return invalid(error);
  if (isPynqLlmError(error)) return fromOurs(error, answers);
  return new ApiError(500, 'The server met an unexpected error.', UNEXPECTED);
}

function invalid({ issues: [first] }: z.ZodError): ApiError {
  const issue = first && mostSpecific(first);
  const path = issue?.path.join('.') ?? '';
  const param = path === '' ? null : shortened(path, MAX_PARAM_LENGTH);
  const message = `${param === null ? 'The request' : `"${param}"`} cannot be used: ${issue?.message ?? 'it is invalid'}.`;
  return new ApiError(400, message, 'invalid_value', param);
}

function shortened(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

/** Of a value that may have several forms: what is wrong with the form that it comes closest to. */
function mostSpecific(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== 'invalid_union') return issue;
  const inside = issue.errors.flat().map((one) => {
    const found = mostSpecific(one);
    return { ...found, path: [...issue.path, ...found.path] };
  });
  const closeness = ({ path, code }: z.core.$ZodIssue) => path.length + (code === 'invalid_type' ? 0 : 0.5);
  return inside.toSorted((a, b) => closeness(b) - closeness(a))[0] ?? issue;
}

/** Where OpenAI's clients know the cause by a code of its own. */
const OPENAI_CODES: Partial<Record<ApiError['status'], string>> = {
  401: 'invalid_api_key',
  404: 'model_not_found',
};

function fromOurs(error: PynqLlmError, answers: number): ApiError {
  const status = STATUSES.find(([pattern]) => pattern.test(error.code))?.[1] ?? 500;
  const code = OPENAI_CODES[status] ?? error.code;
  const { retryAfterMs, text } = error.context;
  return new ApiError(
    status,
    error.message,
    code,
    status === 404 || MEMORY.test(error.code) ? 'model' : null,
    typeof retryAfterMs === 'number' ? retryAfterMs : undefined,
    typeof text === 'string' ? text : undefined,
    MEMORY.test(error.code) ? error.context : undefined,
    !isAlwaysLate(error, answers),
  );
}

/** Whether a request that would be silent for too long would be so without other clients, too. */
function isAlwaysLate(
  { context: { aloneMs, maxPredictedMs, others } }: PynqLlmError,
  answers: number,
): boolean {
  if (typeof aloneMs !== 'number' || typeof maxPredictedMs !== 'number') return false;
  return aloneMs > maxPredictedMs || (typeof others === 'number' && others < answers);
}
