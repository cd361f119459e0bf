import { z } from 'zod';
import { PynqLlmError } from '../errors/index.js';
import { optionsOf, requireArguments } from './arguments.js';
import type { BoardClient } from './board-client.js';
import { openBoard, RECONNECT_MS, SESSION_ARGUMENTS, type SessionOptions } from './open-board.js';
import { webSocket } from './transports/web-socket.js';

export type { ErrorCodeName, ErrorContext, ErrorDetail, WireError } from '../errors/index.js';
export { isPynqLlmError, PynqLlmError } from '../errors/index.js';
export type { BoardClient } from './board-client.js';
export type { CallOptions, ConnectionEvent } from './connection.js';
export type { Generation, GenerationOptions, Prompt, Token } from './generation.js';
export type { GenerateOptions, Model } from './model.js';

const ARGUMENTS = z.object({
  url: z.string().regex(/^wss?:\/\/[^,]*(,wss?:\/\/[^,]*)*$/, 'must begin with ws:// or wss://'),
  options: optionsOf(SESSION_ARGUMENTS),
});

/** How an agent is reached from a page. */
export interface ClientOptions extends SessionOptions {
  /** Milliseconds that a lost connection is tried again; 15 s, 0 for not at all. */
  readonly reconnectMs?: number | undefined;
}

/**
 * Connects to an agent by a WebSocket alone: without SSH, mocks and files, so that it can be bundled for a page. The agent
 * has to allow the page's origin (`--allow-origin`). Models are loaded and used from there, not uploaded.
 * @param url `ws://host:port` or `wss://host:port`; the gateways of a fleet with commas between them
 * @throws PynqLlmError SDK_ARGUMENT, SDK_CONNECT_FAILED, PROTOCOL_VERSION_MISMATCH, AGENT_UNAUTHORISED, FLEET_STANDBY
 */
export async function connect(url: string, options: ClientOptions = {}): Promise<BoardClient> {
  requireArguments({ url, options }, ARGUMENTS);
  const places = url.split(',');
  if (!places.every((place) => URL.canParse(place)))
    throw new PynqLlmError('SDK_URL', `"${url}" is not a URL.`);
  const open = places.map((place) => webSocket(place));
  return openBoard(open, options, options.reconnectMs ?? RECONNECT_MS);
}
