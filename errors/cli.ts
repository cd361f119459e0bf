import type { ErrorEntry } from './entry.js';

/** Errors of cli/: numbers 8000 to 8999. */
export const CLI_ERRORS = {
} as const satisfies Record<string, ErrorEntry>;
