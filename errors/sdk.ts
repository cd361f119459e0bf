import type { ErrorEntry } from './entry.js';

/** Errors of sdk/: numbers 7000 to 7999. */
export const SDK_ERRORS = {
} as const satisfies Record<string, ErrorEntry>;
