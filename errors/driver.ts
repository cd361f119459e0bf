import type { ErrorEntry } from './entry.js';

/** Errors of driver/: numbers 2000 to 2999. */
export const DRIVER_ERRORS = {
} as const satisfies Record<string, ErrorEntry>;
