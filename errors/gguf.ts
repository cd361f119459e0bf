import type { ErrorEntry } from './entry.js';

/** Errors of gguf/: numbers 1000 to 1999. */
export const GGUF_ERRORS = {
} as const satisfies Record<string, ErrorEntry>;
