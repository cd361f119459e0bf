import { BoardClient } from './board-client.js';
import { Connection, type ConnectionEvent } from './connection.js';
import { transportFor } from './transports/open-url.js';
import type { SshLoginOptions } from './transports/ssh.js';
import type { OpenTransport } from './transports/transport.js';

const TIMEOUT_MS = 30_000;
const RECONNECT_MS = 15_000;

export interface ConnectOptions {
  /** The token that the agent was started with, where it was. */
  readonly token?: string | undefined;
  /** Milliseconds for making the connection, and for each request that has no deadline of its own; 30 s. */
  readonly timeoutMs?: number | undefined;
  /** Gives up the attempt to connect. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds that a lost connection is tried again; 15 s, 0 for not at all. */
  readonly reconnectMs?: number | undefined;
  /** For wss: the certificate authority, PEM, where the system does not know it. */
  readonly ca?: string | undefined;
  /**
   * For wss: the SHA-256 of the agent's certificate, hexadecimal, which its log has: nobody else is talked to, and
   * neither authority, name nor dates of the certificate matter.
   */
  readonly fingerprint?: string | undefined;
  /** For mock: the directory of the model store; $PYNQ_LLM_HOME or the user's cache unless given. */
  readonly storeDir?: string | undefined;
  /** Told at once when the connection is lost and tried again, and when it is there again. */
  readonly onConnection?: ((event: ConnectionEvent) => void) | undefined;
  /** For ssh: what to ask the user with, a fingerprint of the host's key, a password. */
  readonly ssh?: SshLoginOptions | undefined;
  /** How this client calls itself in the agent's log. */
  readonly client?: string | undefined;
}

/**
 * Connects to a board.
 *
 * @param url `mock:` (a PYNQ-Z1 inside this process), `mock:kv260`, `mock:FILE.toml`, `ws://host:port`,
 *   `wss://host:port`, `unix:/path`, `ssh://user@host:port` with the socket's path or `?port=N` after it
 * @throws PynqLlmError SDK_URL, SSH_..., SDK_FINGERPRINT_..., SDK_CONNECT_FAILED, PROTOCOL_VERSION_MISMATCH, AGENT_UNAUTHORISED,
 *   AGENT_DEVICE_FAILED
 */
export async function connect(url: string, options: ConnectOptions = {}): Promise<BoardClient> {
  const { open, reconnects, prepare, dispose } = transportFor(url, options);
  await prepare?.(options.signal);
  try {
    return await openBoard(open, options, reconnects ? (options.reconnectMs ?? RECONNECT_MS) : 0);
  } finally {
    await dispose?.();
  }
}

/** Connects to the agent that `open` leads to. @throws as `connect` */
export async function openBoard(
  open: OpenTransport,
  options: ConnectOptions,
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
    return new BoardClient(
      connection,
      await connection.request('board.info', {}, { signal: options.signal }),
    );
  } catch (error) {
    await connection.close();
    throw error;
  }
}
