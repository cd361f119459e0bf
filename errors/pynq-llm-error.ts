import { ERROR_CODES, type ErrorCodeName } from './codes.js';

/** Facts of one occurrence: plain data, so that it crosses the wire unchanged. */
export type ErrorContext = Readonly<
  Record<string, string | number | boolean | null | readonly (string | number)[]>
>;

/** What an error may have beside what happened. */
export interface ErrorDetail {
  /** The particulars as data. */
  readonly context?: ErrorContext;
  /** The error underneath. */
  readonly cause?: unknown;
  /** What the reader can do about it, instead of what the table says. */
  readonly remedy?: string;
}

/** An error as it crosses the wire. */
export interface WireError {
  /** Its name, perhaps of a later version. */
  readonly code: string;
  /** What happened and what to do, as one text. */
  readonly message: string;
  /** Particulars as data. */
  readonly context: ErrorContext;
}

/**
 * The one error class of the package.
 *
 * `message` reads: `[PL1001 GGUF_BAD_MAGIC] what happened. What to do.`
 */
export class PynqLlmError extends Error {
  override readonly name = 'PynqLlmError';
  /** Its name in the table of errors. */
  readonly code: ErrorCodeName;
  /** The particulars of this occurrence, as data. */
  readonly context: ErrorContext;
  /** What happened and why: the message without its number and its remedy, for errors that quote this one. */
  readonly what: string;
  /** What the reader can do about it. */
  readonly remedy: string;

  /**
   * @param code a name from the table of errors
   * @param what what happened and why, with the particulars, as one or two full sentences
   */
  constructor(code: ErrorCodeName, what: string, detail: ErrorDetail = {}) {
    const entry = ERROR_CODES[code];
    const remedy = detail.remedy ?? entry.remedy;
    super(
      `[PL${entry.number} ${code}] ${what} ${remedy}`,
      'cause' in detail ? { cause: detail.cause } : undefined,
    );
    this.code = code;
    this.what = what;
    this.context = detail.context ?? {};
    this.remedy = remedy;
  }

  /** The form that crosses the wire; `message` is already complete. */
  toWire(): WireError {
    return { code: this.code, message: this.message, context: this.context };
  }
}

/** Whether `error` is one of the package's own, optionally with this code. */
export function isPynqLlmError(error: unknown, code?: ErrorCodeName): error is PynqLlmError {
  return error instanceof PynqLlmError && (code === undefined || error.code === code);
}
