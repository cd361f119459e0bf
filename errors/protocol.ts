import type { ErrorEntry } from './entry.js';

const OTHER_SIDE =
  'The other side is not a pynq-llm of a matching version, or it is broken: compare versions.';

/** Errors of protocol/: numbers 5000 to 5999. */
export const PROTOCOL_ERRORS = {
  PROTOCOL_FRAME_TOO_LARGE: {
    number: 5001,
    meaning: 'A frame is larger than the protocol allows.',
    remedy: 'Send large data in pieces: uploads in chunks, buffers in ranges.',
  },
  PROTOCOL_FRAME_MALFORMED: {
    number: 5002,
    meaning: 'A frame is not one well-formed MessagePack map of a known kind.',
    remedy: OTHER_SIDE,
  },
  PROTOCOL_FRAME_TOO_COMPLEX: {
    number: 5003,
    meaning: 'A frame is nested deeper, or holds more values, than the protocol allows.',
    remedy: 'Split the request into smaller ones.',
  },
  PROTOCOL_TYPE_REFUSED: {
    number: 5004,
    meaning: 'A frame holds an extension type or a map key that is never accepted.',
    remedy: OTHER_SIDE,
  },
  PROTOCOL_UNKNOWN_METHOD: {
    number: 5005,
    meaning: 'The agent has no such method.',
    remedy: "Compare the agent's version and capabilities in board.info with what the client expects.",
  },
  PROTOCOL_BAD_PARAMS: {
    number: 5006,
    meaning: 'The parameters of a request do not match the schema of its method.',
    remedy: 'Correct the parameter named.',
  },
  PROTOCOL_BAD_RESULT: {
    number: 5007,
    meaning: 'A result or event does not match the schema of its method.',
    remedy: OTHER_SIDE,
  },
  PROTOCOL_OUT_OF_ORDER: {
    number: 5008,
    meaning: 'A frame came at a moment when the protocol does not allow it.',
    remedy: 'Send hello first and once; take events in the order of their numbers.',
  },
  PROTOCOL_DUPLICATE_ID: {
    number: 5009,
    meaning: 'A request has the id of one that is still running.',
    remedy: 'Number requests upwards and use no number twice in a session.',
  },
  PROTOCOL_VERSION_MISMATCH: {
    number: 5010,
    meaning: 'Client and agent speak different major versions of the protocol.',
    remedy: 'Upgrade the older of the two.',
  },
  PROTOCOL_TOO_MANY_REQUESTS: {
    number: 5011,
    meaning: 'A session has more requests, or more bytes of requests, under way than the protocol allows.',
    remedy: 'Wait for replies before sending more.',
  },
  PROTOCOL_TOO_MANY_STREAMS: {
    number: 5012,
    meaning: 'A session has more event streams open than the protocol allows.',
    remedy: 'Close streams that are no longer read.',
  },
  PROTOCOL_TOO_MANY_BAD_FRAMES: {
    number: 5013,
    meaning: 'A session sent too many frames that could not be accepted.',
    remedy: OTHER_SIDE,
  },
  PROTOCOL_HELLO_TIMEOUT: {
    number: 5014,
    meaning: 'A connection was opened but no hello followed in time.',
    remedy: 'Send hello as the first frame.',
  },
  PROTOCOL_REQUEST_TIMEOUT: {
    number: 5015,
    meaning: 'No reply came within the deadline of the request.',
    remedy: "Look at the board's health; a longer timeoutMs helps where the work itself takes long.",
  },
  PROTOCOL_SESSION_CLOSED: {
    number: 5016,
    meaning: 'The session ended while the request was under way, or before it was sent.',
    remedy: 'Connect again.',
  },
  PROTOCOL_FOREIGN_ERROR: {
    number: 5017,
    meaning: 'The other side reported an error whose code this version does not know.',
    remedy: 'Upgrade this side to read the code; the message above is complete.',
  },
  PROTOCOL_ROLE_REQUIRED: {
    number: 5018,
    meaning: 'The method needs a role that this session does not have.',
    remedy: "Connect with a token of that role; the agent's administrator has it.",
  },
} as const satisfies Record<string, ErrorEntry>;
