import type { ErrorEntry } from './entry.js';

/** Errors of agent/: numbers 6000 to 6999. */
export const AGENT_ERRORS = {
  AGENT_INTERNAL: {
    number: 6001,
    meaning: 'The agent met an error that it does not know: a fault in the program.',
    remedy: "Report it with the agent's log, which has the stack.",
  },
  AGENT_LISTEN_ADDRESS: {
    number: 6002,
    meaning: 'The address to listen on is not one, or the agent may not listen there.',
    remedy: 'Give HOST:PORT, PORT or unix:/PATH; any address but loopback needs a token.',
  },
  AGENT_LISTEN_FAILED: {
    number: 6003,
    meaning: 'The operating system refused the address to listen on.',
    remedy: 'Choose another port or path, or stop what listens there already.',
  },
  AGENT_TLS: {
    number: 6004,
    meaning: 'The key or the certificate for TLS cannot be used, or the address does not go with them.',
    remedy: 'Give a PEM key file and its PEM certificate together, and a TCP address that is not ws://.',
  },
  AGENT_TOKEN_INVALID: {
    number: 6005,
    meaning: 'A token of the agent is too short to be a secret, or the file of tokens is not one.',
    remedy:
      'Give lines of "role token" or "role token name", each name once; roles are read, infer and admin, tokens random and of at least 16 characters.',
  },
  AGENT_UNAUTHORISED: {
    number: 6006,
    meaning: 'The client gave no token or a wrong one.',
    remedy: 'Give the token that the agent, or the key that the server, was started with.',
  },
  AGENT_TOO_MANY_ATTEMPTS: {
    number: 6007,
    meaning: 'Too many wrong tokens came from this address.',
    remedy: 'Wait as long as the message says, then try with the right token.',
  },
  AGENT_TOO_MANY_SESSIONS: {
    number: 6008,
    meaning: 'As many clients are connected as the agent serves.',
    remedy: 'Close a connection and try again.',
  },
  AGENT_CLIENT_STALLED: {
    number: 6009,
    meaning: 'The client stopped reading, and what waited for it reached a limit for too long.',
    remedy: 'Read what was asked for, or ask for less; generations can be resumed after connecting again.',
  },
  AGENT_CLOSING: {
    number: 6010,
    meaning: 'The agent is shutting down.',
    remedy: 'Connect again once it has been started.',
  },
  AGENT_DRAINING: {
    number: 6011,
    meaning: 'The agent ends once the generations under way have ended, and takes no new ones.',
    remedy: 'Ask again once it has been started.',
  },
  AGENT_DEVICE_URL: {
    number: 6020,
    meaning: 'The device URL cannot be understood.',
    remedy:
      'Give mock:, mock:NAME or mock:FILE.toml, with ?realtime=1, ?memory=reserved or ?fault=NAME where wanted.',
  },
  AGENT_DEVICE_FAILED: {
    number: 6021,
    meaning: 'The device could not be opened.',
    remedy: 'The cause is named above; `board.health` shows when the agent tries again.',
  },
  AGENT_WORKER_CRASHED: {
    number: 6022,
    meaning: "The device's worker ended unexpectedly; what it was doing is lost.",
    remedy: 'The worker is started again: load the model again and repeat the request.',
  },
  AGENT_WORKER_HUNG: {
    number: 6023,
    meaning: "The device's worker gave no sign of life within its deadline and was ended.",
    remedy: 'The worker is started again: load the model again and repeat the request.',
  },
  AGENT_BUFFER_UNKNOWN: {
    number: 6030,
    meaning: 'The session owns no DMA buffer of this number.',
    remedy: 'Allocate a buffer first; buffers end with the session that allocated them.',
  },
  AGENT_BUFFER_RANGE: {
    number: 6031,
    meaning: 'A range lies outside of its DMA buffer.',
    remedy: 'Keep offset + length within the length that was allocated.',
  },
  AGENT_BUFFER_QUOTA: {
    number: 6032,
    meaning: 'The session holds as much DMA memory as one session may.',
    remedy: 'Free buffers that are no longer needed.',
  },
  AGENT_MODEL_UNKNOWN: {
    number: 6040,
    meaning: 'The board has no model of this digest.',
    remedy: 'Upload the model first (`pynq-llm upload FILE`); `pynq-llm models` lists what the board has.',
  },
  AGENT_MODEL_NOT_LOADED: {
    number: 6041,
    meaning: 'The model is on the board but not loaded.',
    remedy: 'Load the model first (`pynq-llm models load NAME`).',
  },
  AGENT_MODEL_BUSY: {
    number: 6042,
    meaning: 'The model is in use, or being loaded.',
    remedy: 'Wait until its generations have ended, or cancel them.',
  },
  AGENT_MODEL_LOADED_OTHERWISE: {
    number: 6043,
    meaning: 'The model is loaded with another context length than asked for.',
    remedy: 'Unload the model first (`pynq-llm models unload NAME`), then load it with the length wanted.',
  },
  AGENT_PIN_UNKNOWN: {
    number: 6044,
    meaning:
      'The session has no pin of this id: it was released, or ended with its session, its model or the worker.',
    remedy: 'Nothing has to be released any more; pin the prompt again where it is to stay in memory.',
  },
  AGENT_PIN_EXISTS: {
    number: 6045,
    meaning: 'The session has a pin of this id already.',
    remedy: 'Choose a new random id for each pin.',
  },
  AGENT_PIN_QUOTA: {
    number: 6046,
    meaning: 'The session holds as many pins as one session may.',
    remedy: 'Release pins that are no longer needed.',
  },
  AGENT_PIN_RELEASED: {
    number: 6047,
    meaning: 'A pin was released, or its session or model ended, before its prompt was computed.',
    remedy: 'Pin the prompt again if it is still to stay in memory.',
  },
  AGENT_UPLOAD_UNKNOWN: {
    number: 6050,
    meaning: 'There is no upload of this id, or it is not of this client.',
    remedy: 'Begin the upload again: what was received is kept.',
  },
  AGENT_UPLOAD_MISMATCH: {
    number: 6051,
    meaning: 'What was sent does not have the digest that was announced for it.',
    remedy: 'The chunk was not kept; send it again. If it comes back, the file changed during the upload.',
  },
  AGENT_UPLOAD_INCOMPLETE: {
    number: 6052,
    meaning: 'An upload was to be published before all of its chunks were there.',
    remedy: 'Send the chunks that are missing.',
  },
  AGENT_UPLOAD_RANGE: {
    number: 6056,
    meaning:
      'The body of an upload is not a range of whole chunks of its model, of a length that is said and allowed.',
    remedy: 'Send Content-Length and Content-Range as docs/protocol.md says.',
  },
  AGENT_UPLOAD_ENDED: {
    number: 6057,
    meaning:
      'Bytes of an upload are not taken any more: its client sends others, or the upload or its session ended.',
    remedy: 'Whole chunks that came are kept: ask which, and send the others.',
  },
  AGENT_UPLOADS_BUSY: {
    number: 6058,
    meaning: 'As many clients send bytes of uploads as the agent takes at a time, or as one client may.',
    remedy: 'Send again in a moment.',
  },
  AGENT_ORIGIN_REFUSED: {
    number: 6059,
    meaning: 'A web page of an origin that may not use the agent sent a request.',
    remedy: 'Start the agent with --allow-origin for pages that may.',
  },
  AGENT_STORE_FULL: {
    number: 6053,
    meaning: "The board's file system has no room for the model.",
    remedy:
      'Delete models that are no longer needed (`pynq-llm models delete NAME`), or give the store another directory (--store-dir of `pynq-llm agent`).',
  },
  AGENT_STORE_FAILED: {
    number: 6054,
    meaning: 'The model store could not be read or written.',
    remedy: 'Check that the directory of the store exists, is writable and its file system healthy.',
  },
  AGENT_STORE_QUOTA: {
    number: 6055,
    meaning: 'The store holds as many models, names or open uploads as it may.',
    remedy: 'Delete models that are no longer needed; uploads of others end by themselves.',
  },
  AGENT_GENERATION_UNKNOWN: {
    number: 6060,
    meaning: 'The agent knows no generation of this id: it ended, was given up, or never began.',
    remedy: 'Start the generation again.',
  },
  AGENT_GENERATION_EXISTS: {
    number: 6061,
    meaning: 'A generation of this id exists already.',
    remedy: 'Choose a new random id for each generation.',
  },
  AGENT_GENERATION_POSITION: {
    number: 6062,
    meaning: 'A generation cannot be resumed at this token: it was acknowledged before, or is not there yet.',
    remedy: 'Resume at the first token that did not arrive.',
  },
  AGENT_CHECK_FILE: {
    number: 6071,
    meaning: 'A vector file that is sent in pieces is not in order, or too large.',
    remedy: 'Send the pieces one after the other; check with smaller vectors.',
  },
  AGENT_TRACE_STATE: {
    number: 6070,
    meaning: 'There is no trace to stop, read or replay, or one is being recorded already.',
    remedy: 'Start a trace, stop it, then read it.',
  },
  AGENT_TRACE_FAILED: {
    number: 6072,
    meaning: 'A trace could not be written, or became larger than a trace may be; it is lost.',
    remedy: 'Free room in the folder for temporary files of the board ($TMPDIR), or record less.',
  },
} as const satisfies Record<string, ErrorEntry>;
