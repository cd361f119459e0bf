import type { ErrorEntry } from './entry.js';

/** Errors of driver/: numbers 2000 to 2999. */
export const DRIVER_ERRORS = {
  DRIVER_BOARD_UNKNOWN: {
    number: 2001,
    meaning: 'No board description of that name ships with the package.',
    remedy: 'Give one of the names listed, or the path of a .toml file.',
  },
  DRIVER_BOARD_FILE_INVALID: {
    number: 2002,
    meaning: 'A board description file cannot be read or does not describe a board.',
    remedy: 'Compare it with the files in boards/ of the package.',
  },
} as const satisfies Record<string, ErrorEntry>;
