import { z } from 'zod';
import { PynqLlmError } from '../errors/index.js';
import type { BoardInfo } from '../protocol/index.js';
import { anyMilliseconds, callback, milliseconds, signal } from './arguments.js';
import { BoardClient } from './board-client.js';
import { Connection, type ConnectionEvent } from './connection.js';
import type { OpenTransport } from './transports/transport.js';

const TIMEOUT_MS = 30_000;
/** So long a lost connection is tried again, unless it is said otherwise. */
export const RECONNECT_MS = 15_000;

/** How the options of every connection are checked. */
export const SESSION_ARGUMENTS = {
  token: z.string().optional(),
  timeoutMs: milliseconds,
  signal,
  onConnection: callback,
  client: z.string().optional(),
  reconnectMs: anyMilliseconds,
  withoutBoards: z.boolean().optional(),
};

/** What every connection to an agent may be told, whatever carries it. */
export interface SessionOptions {
  /** The token that the agent was started with, where it was. */
  readonly token?: string | undefined;
  /** Milliseconds for making the connection, and for each request that has no deadline of its own; 30 s. */
  readonly timeoutMs?: number | undefined;
  /** Gives up the attempt to connect. */
  readonly signal?: AbortSignal | undefined;
  /** Told at once when the connection is lost and tried again, and when it is there again. */
  readonly onConnection?: ((event: ConnectionEvent) => void) | undefined;
  /** How this client calls itself in the agent's log. */
  readonly client?: string | undefined;
  /** Connects to a fleet also while no board of it is there, to look at it: `info` throws FLEET_NO_BOARDS then. */
  readonly withoutBoards?: boolean | undefined;
}

/** Connects to the agent that `open` leads to, or to the first of several places that answers. @throws as `connect` */
export async function openBoard(
  open: OpenTransport | readonly OpenTransport[],
  options: SessionOptions,
  reconnectMs: number,
): Promise<BoardClient> {
  const connection = await Connection.open(
    open,
    {
      client: options.client ?? 'pynq-llm sdk',
      token: options.token,
      timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
      reconnectMs,
      onConnection: options.onConnection,
    },
    options.signal,
  );
  try {
    return new BoardClient(connection, await infoOf(connection, options));
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** @returns what the board is, or why nobody can say it */
async function infoOf(
  connection: Connection,
  { signal, withoutBoards }: SessionOptions,
): Promise<BoardInfo | PynqLlmError> {
  if (withoutBoards && connection.hello.capabilities.includes('fleet-operations')) {
    const { boards } = await connection.request('fleet.status', {}, { signal });
    // Who asks for the description of a fleet waits for its first board.
    if (boards.length === 0) return new PynqLlmError('FLEET_NO_BOARDS', 'No board of the fleet was there.');
  }
  return connection.request('board.info', {}, { signal });
}
