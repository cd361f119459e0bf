import type { ErrorEntry } from './entry.js';

/** Errors of agent/: numbers 6000 to 6999. */
export const AGENT_ERRORS = {
} as const satisfies Record<string, ErrorEntry>;
