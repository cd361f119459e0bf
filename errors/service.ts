import type { ErrorEntry } from './entry.js';

/** Errors of looking after a board's agent, sdk/service/ and sdk/doctor/: numbers 9500 to 9999. */
export const SERVICE_ERRORS = {
  SERVICE_NEEDS_SSH: {
    number: 9500,
    meaning: "The agent's service can only be managed through the board's own shell.",
    remedy: 'Give the board as ssh://USER@HOST.',
  },
  SERVICE_COMMAND_FAILED: {
    number: 9501,
    meaning: 'A command on the board failed.',
    remedy: 'Run it on the board by hand (`ssh BOARD`) to see more.',
  },
  SERVICE_BAD_ANSWER: {
    number: 9502,
    meaning: 'What the board printed is not what the command prints on Linux.',
    remedy: 'Check that the host is the board, and that its login shell prints nothing of its own.',
  },
  SERVICE_NOT_INSTALLED: {
    number: 9503,
    meaning: 'The board has no service of the agent.',
    remedy: 'Run `pynq-llm deploy HOST` first.',
  },
  SERVICE_NEEDS_SUDO: {
    number: 9504,
    meaning: 'The user on the board may not do this without a password.',
    remedy: 'Log in as a user who may use sudo without one, or run the command on the board by hand.',
  },
  SERVICE_BENCH_FILE: {
    number: 9510,
    meaning: 'A file that should describe a board of a test bench cannot be read or does not.',
    remedy: 'Compare it with boards/bench/mock-pynq-z1.toml.',
  },
} as const satisfies Record<string, ErrorEntry>;
