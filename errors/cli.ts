import type { ErrorEntry } from './entry.js';

/** Errors of cli/: numbers 8000 to 8999. */
export const CLI_ERRORS = {
  CLI_BAD_ARGUMENT: {
    number: 8001,
    meaning: 'A command line option or argument has a value that cannot be used.',
    remedy: 'See the command with --help.',
  },
  CLI_FILE_UNREADABLE: {
    number: 8002,
    meaning: 'A file named on the command line cannot be read.',
    remedy: 'Check the path and its permissions.',
  },
  CLI_FILE_UNWRITABLE: {
    number: 8004,
    meaning: 'A file named on the command line cannot be written.',
    remedy: 'Check the folder, its permissions and the space on the disk.',
  },
  CLI_INTERRUPTED: {
    number: 8005,
    meaning: 'Ctrl-C ended the command before its work was done.',
    remedy: 'Run it again; an upload goes on where it stopped.',
  },
  CLI_CHAT_FILE: {
    number: 8006,
    meaning: 'A file given to /load of a chat is not one that /save wrote.',
    remedy: 'Give a file of JSON with a list of messages, each with role and content.',
  },
  CLI_BOARDS_FILE: {
    number: 8007,
    meaning: 'The file of named boards cannot be used.',
    remedy: 'Correct the line that is named; `pynq-llm boards add` and `remove` write the file too.',
  },
  CLI_BOARD_UNKNOWN: {
    number: 8008,
    meaning: 'A board was named that the file of boards does not have.',
    remedy: 'Give a device URL, or name the board first: pynq-llm boards add NAME URL',
  },
  CLI_MODEL_UNKNOWN: {
    number: 8003,
    meaning: 'A model was named that is neither a file nor a model that the board has.',
    remedy: 'Give the path of a .gguf file, or a name from `pynq-llm models`.',
  },
} as const satisfies Record<string, ErrorEntry>;
