/**
 * Limits of the protocol. Each stands beside the threat that it answers; both sides enforce those that concern
 * what they receive.
 */

/** A frame that makes the receiver allocate without end. */
export const MAX_FRAME_BYTES = 8 * 1024 * 1024;

/** A frame of nested arrays that overflows the decoder's stack; our deepest message nests seven levels. */
export const MAX_DEPTH = 12;

/** A frame whose one-byte values each become an object: memory many times the frame's size. */
export const MAX_VALUES = 262_144;

/** A map of a hundred thousand names, each of them looked up, refused and told: our largest have some dozens. */
export const MAX_MAP_KEYS = 1_024;

/** An error that quotes what was sent: so much of each reason is told. */
export const MAX_REASON_LENGTH = 300;

/** A peer that sends rubbish at full speed: after this many refused frames in the window the session ends. */
export const MAX_BAD_FRAMES = 16;
export const BAD_FRAME_WINDOW_MS = 10_000;

/** A connection that is opened and then holds its place in silence. */
export const HELLO_DEADLINE_MS = 10_000;
/** A stranger who has the agent collect large frames: a hello takes a few hundred bytes. */
export const MAX_FRAME_BYTES_BEFORE_HELLO = 64 * 1024;

/** A client that sends requests faster than they are answered: by number ... */
export const MAX_IN_FLIGHT = 512;
/** ... and by size, because 64 frames of 8 MiB are all the memory of a PYNQ-Z1. */
export const MAX_IN_FLIGHT_BYTES = 24 * 1024 * 1024;
/** ... nor may many clients together do what one may not. */
export const MAX_IN_FLIGHT_BYTES_OF_ALL = 48 * 1024 * 1024;

/**
 * Streams that are opened and never closed. More than an engine takes in, because all clients of an HTTP API share one
 * session, and it leaves some for each of them: who has to wait or to be refused is the engine's to say.
 */
export const MAX_STREAMS = 512;

/** Requests with names within names, each of which the scheduler keeps an account of. */
export const MAX_CLIENT_NAMES = 4;

/** What tracing systems say to each other: the least that everybody has to pass on. */
export const MAX_TRACESTATE_LENGTH = 512;

/** Long batches that keep the device from everybody else. */
export const MAX_REGISTERS_PER_REQUEST = 1_024;

/** Largest piece of a buffer or of a trace in one frame; leaves room for the frame's other fields. */
export const MAX_PIECE_BYTES = 1024 * 1024;

/** Uploads that pretend to be larger than any file system: 64 GiB of chunks. */
export const MAX_CHUNKS = 65_536;

/** Bodies of uploads that go on for ever: each has a deadline, and nothing of one is lost that is a whole chunk. */
export const MAX_UPLOAD_BODY_BYTES = 16 * 1024 * 1024;

/** Models of one byte each that fill the store's folders, which are read whole for every list. */
export const MAX_MODELS = 512;
/** Names that are given to a model without end: the index of names is read whole at every look-up. */
export const MAX_NAMES_PER_MODEL = 8;
/** Names of models that are not there any more count too. */
export const MAX_NAMES = 4_096;
export const MAX_NAME_LENGTH = 200;

/** Models in one answer, and bytes of their names: a long list must not make a frame too large or hold up small ones. */
export const MAX_LIST_MODELS = 512;
export const MAX_LIST_BYTES = 1024 * 1024;

/** Vectors of one check, which the agent has in memory: a MatMul of the largest matrix of a 7B model. */
export const MAX_CHECK_BYTES = 64 * 1024 * 1024;
/** Files without bytes, which that does not count. */
export const MAX_CHECK_FILES = 64;

/** Tokens that an agent keeps for a client that may never come back to acknowledge them. */
export const MAX_TOKEN_WINDOW = 256;
export const DEFAULT_TOKEN_WINDOW = 32;

/** Pins that keep little each and cost the agent a record each; their pages have a bound of their own. */
export const MAX_PINS = 64;

/** Prompts longer than any context. */
export const MAX_PROMPT_TOKENS = 131_072;
export const MAX_TEXT_LENGTH = 1_048_576;

/** Schemas that take the agent long to compile; llm/ has further limits. */
export const MAX_SCHEMA_LENGTH = 131_072;
/** Functions that a model is told of, as JSON text. */
export const MAX_TOOLS_LENGTH = 262_144;
/** Objects and lists within each other. */
export const MAX_SCHEMA_DEPTH = 128;

/** A peer whose machine vanished without closing the socket: silence for three beats ends the connection. */
export const HEARTBEAT_MS = 10_000;
export const HEARTBEATS_MISSED = 3;

/** Weights, and inputs, of a MatMul of a client's own: both, and what comes of them, fit into a frame. */
export const MAX_MATMUL_BYTES = 3 * 1024 * 1024;

/** Hashes of pages in one answer: of 524,288 tokens. */
export const MAX_HELD_PAGES = 32_768;
