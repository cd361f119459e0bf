import { isPynqLlmError } from '../../errors/index.js';

/** How a check ended: `skip` says why it could not or should not be made. */
export type CheckStatus = 'pass' | 'warn' | 'fail' | 'skip';

/** The parts of the way to a board, in the order in which they are checked. */
export const CHECK_GROUPS = ['laptop', 'connection', 'board', 'fleet', 'core'] as const;
/** A part of the way to a board. */
export type CheckGroup = (typeof CHECK_GROUPS)[number];

/** What a check found. */
export interface Finding {
  /** How it ended. */
  readonly status: CheckStatus;
  /** What was found, with the figures. */
  readonly detail: string;
  /** What to do about it; there where the status is warn or fail. */
  readonly fix?: string;
}

/** One thing that the doctor looks at. `S` is what the checks of one examination share. */
export interface Check<S> {
  readonly name: string;
  readonly group: CheckGroup;
  /** An error that it throws is a failed check. Undefined where there is nothing to look at, and nothing to say. */
  run(session: S): Finding | undefined | Promise<Finding | undefined>;
}

export const pass = (detail: string): Finding => ({ status: 'pass', detail });
export const warn = (detail: string, fix: string): Finding => ({ status: 'warn', detail, fix });
export const fail = (detail: string, fix: string): Finding => ({ status: 'fail', detail, fix });
/** @param detail why the check was not made */
export const skip = (detail: string): Finding => ({ status: 'skip', detail });

/** A finding of an error: what happened is the detail, what to do the fix. */
export function failure(error: unknown): Finding {
  if (!isPynqLlmError(error))
    return fail(error instanceof Error ? error.message : String(error), UNKNOWN_FIX);
  const { message, remedy } = error;
  return fail(message.endsWith(remedy) ? message.slice(0, -remedy.length).trimEnd() : message, remedy);
}

const UNKNOWN_FIX = 'PYNQ_LLM_DEBUG=1 shows more; docs/troubleshooting.md has the known failures.';
