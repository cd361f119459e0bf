import type { ErrorEntry } from './entry.js';

/** Errors of mock-device/: numbers 3000 to 3999. */
export const MOCK_ERRORS = {
} as const satisfies Record<string, ErrorEntry>;
