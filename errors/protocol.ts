import type { ErrorEntry } from './entry.js';

/** Errors of protocol/: numbers 5000 to 5999. */
export const PROTOCOL_ERRORS = {
} as const satisfies Record<string, ErrorEntry>;
