import type { ErrorEntry } from './entry.js';

/** Errors of sdk/: numbers 7000 to 7999. */
export const SDK_ERRORS = {
  SDK_URL: {
    number: 7001,
    meaning: 'The URL to connect to is not one that the SDK knows.',
    remedy: 'Give mock:, mock:NAME, ssh://USER@HOST, ws://HOST:PORT, wss://HOST:PORT or unix:/PATH.',
  },
  SDK_CONNECT_FAILED: {
    number: 7003,
    meaning: 'No connection to the agent could be made.',
    remedy: 'Check that the agent runs and listens at this address, and that a firewall lets it through.',
  },
  SDK_CONNECTION_LOST: {
    number: 7004,
    meaning: 'The connection to the agent broke.',
    remedy: 'Check the network and whether the agent still runs; uploads and generations can be continued.',
  },
  SDK_CLOSED: {
    number: 7005,
    meaning: 'The client was closed.',
    remedy: 'Connect again.',
  },
  SDK_FINGERPRINT_INVALID: {
    number: 7006,
    meaning: 'The fingerprint to pin is not the SHA-256 of a certificate.',
    remedy: "Give the 64 hexadecimal digits that the agent's log shows at its start.",
  },
  SDK_FINGERPRINT_MISMATCH: {
    number: 7007,
    meaning: "The agent's certificate is not the pinned one.",
    remedy:
      "If the certificate was renewed, take the new fingerprint from the agent's log on the board itself. Otherwise somebody else answers in its place: do not connect.",
  },
  SDK_NO_PROGRESS: {
    number: 7008,
    meaning: 'The agent is connected, but what it was asked for made no progress within its deadline.',
    remedy:
      "Look at the board's health and the agent's log, then ask again; where single steps take so long, give a longer stallMs.",
  },
  SDK_MODEL_FILE: {
    number: 7010,
    meaning: 'The model file cannot be read, is empty, or is named as one that is not whole.',
    remedy: 'Check the path and its permissions.',
  },
  SDK_MODEL_NAME: {
    number: 7011,
    meaning: 'More than one model of the board fits the name.',
    remedy: 'Give more digits of the digest.',
  },
  SDK_VECTORS: {
    number: 7012,
    meaning: 'The folder of golden vectors cannot be read.',
    remedy: 'Give a folder with index.json and the *.bin files beside it; vectors of the package has them.',
  },
  SDK_VECTORS_TOO_LARGE: {
    number: 7015,
    meaning:
      'A golden vector, or the lists beside them, are larger than what can be sent to an agent at once.',
    remedy:
      'Make vectors of fewer rows, or columns of input, and split the lists over several folders, each with its own selftest.',
  },
  SDK_ARGUMENT: {
    number: 7016,
    meaning: 'An argument of an SDK function is not what it has to be.',
    remedy: 'Correct the argument named; the type declarations of the package say what it is.',
  },
  SDK_TEXT_TOO_SHORT: {
    number: 7014,
    meaning: 'A text is too short to be scored.',
    remedy: 'Give a text of at least two tokens.',
  },
  SDK_ALREADY_READ: {
    number: 7013,
    meaning: 'The tokens of a generation were iterated a second time.',
    remedy: 'Keep what the first loop gave, or start another generation.',
  },
} as const satisfies Record<string, ErrorEntry>;
