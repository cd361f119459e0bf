import type { ErrorEntry } from './entry.js';

/** Errors of http-api/: numbers 8500 to 8599. */
export const HTTP_ERRORS = {
  HTTP_LISTEN_FAILED: {
    number: 8501,
    meaning: 'The HTTP API cannot listen on its address.',
    remedy: 'Choose another port with --port; the cause says whether this one is taken.',
  },
  HTTP_KEY_NEEDED: {
    number: 8502,
    meaning: 'An HTTP API that other machines or all web pages can reach needs a key.',
    remedy: 'Give --api-key-file; or listen on 127.0.0.1 and tunnel, and list the origins of pages that may connect.',
  },
} as const satisfies Record<string, ErrorEntry>;
