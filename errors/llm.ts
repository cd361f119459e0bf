import type { ErrorEntry } from './entry.js';

/** Errors of llm/: numbers 4000 to 4999. */
export const LLM_ERRORS = {
} as const satisfies Record<string, ErrorEntry>;
