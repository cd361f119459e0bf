import { isLoopback } from '../access/index.js';
import { PynqLlmError } from '../errors/index.js';

/** Where an agent listens. */
export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      readonly isLoopback: boolean;
      /** Undefined where the address does not say. */
      readonly scheme: 'ws' | 'wss' | undefined;
    };

/** What clients of a socket file have for an address. */
export const UNIX_SOCKET = 'unix socket';

/** The kernel's limit of a socket's path, without the zero at its end. */
const MAX_SOCKET_PATH_BYTES = 107;

/**
 * Reads `HOST:PORT`, `PORT` alone for loopback, the same with `ws://` or `wss://` before it, or `unix:/PATH`. Port 0
 * takes a free one.
 * @throws PynqLlmError AGENT_LISTEN_ADDRESS
 */
export function parseListenAddress(text: string): ListenAddress {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    if (path.startsWith('/') && Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES)
      return { kind: 'unix', path };
    throw bad(text, `a socket needs an absolute path of at most ${MAX_SOCKET_PATH_BYTES} bytes`);
  }
  const match = /^(?:(wss?):\/\/)?(?:(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]@]+)):)?(\d{1,5})\/?$/.exec(text);
  const port = Number(match?.[4]);
  if (match === null || port > 65_535) throw bad(text, 'it is not HOST:PORT, PORT or unix:/PATH');
  const host = match[2] ?? match[3] ?? '127.0.0.1';
  const scheme = match[1] === 'ws' || match[1] === 'wss' ? match[1] : undefined;
  return { kind: 'tcp', host, port, isLoopback: isLoopback(host), scheme };
}

function bad(text: string, why: string): PynqLlmError {
  return new PynqLlmError('AGENT_LISTEN_ADDRESS', `The agent cannot listen on "${text}": ${why}.`, {
    context: { listen: text },
  });
}
