import { z } from 'zod';
import { optionsOf, requireArguments } from './arguments.js';
import type { BoardClient } from './board-client.js';
import { openBoard, RECONNECT_MS, SESSION_ARGUMENTS, type SessionOptions } from './open-board.js';
import { transportFor } from './transports/open-url.js';
import type { SshLoginOptions } from './transports/ssh.js';

const ARGUMENTS = z.object({
  url: z.string(),
  options: optionsOf({
    ...SESSION_ARGUMENTS,
    ca: z.string().optional(),
    fingerprint: z.string().optional(),
    storeDir: z.string().optional(),
    threads: z.int().min(1).max(64).optional(),
    ssh: optionsOf({}).optional(),
  }),
});

/** @throws PynqLlmError SDK_ARGUMENT */
export function requireConnectArguments(url: string, options: ConnectOptions): void {
  requireArguments({ url, options }, ARGUMENTS);
}

/** How a board is reached. */
export interface ConnectOptions extends SessionOptions {
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
  /** For mock: threads that compute beside the mock device, from 1 to 64; as many as the CPU has cores unless given. */
  readonly threads?: number | undefined;
  /** For ssh: what to ask the user with, a fingerprint of the host's key, a password. */
  readonly ssh?: SshLoginOptions | undefined;
}

/**
 * Connects to a board.
 *
 * @param url `mock:` (a PYNQ-Z1 inside this process), `mock:kv260`, `mock:FILE.toml`, `ws://host:port`,
 *   `wss://host:port`, `unix:/path`, `ssh://user@host:port` with the socket's path or `?port=N` after it; several of `ws:` and `wss:` with
 *   commas between them are the gateways of one fleet: the one that leads is found, also when another takes the lead
 * @throws PynqLlmError SDK_ARGUMENT, SDK_URL, SSH_..., SDK_FINGERPRINT_..., SDK_CONNECT_FAILED, PROTOCOL_VERSION_MISMATCH, AGENT_UNAUTHORISED,
 *   AGENT_DEVICE_FAILED, FLEET_STANDBY
 */
export async function connect(url: string, options: ConnectOptions = {}): Promise<BoardClient> {
  requireConnectArguments(url, options);
  const { open, reconnects, prepare, dispose } = transportFor(url, options);
  await prepare?.(options.signal);
  try {
    return await openBoard(open, options, reconnects ? (options.reconnectMs ?? RECONNECT_MS) : 0);
  } finally {
    await dispose?.();
  }
}
