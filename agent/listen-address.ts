import { isIP } from 'node:net';
import { PynqLlmError } from '../errors/index.js';

/** Where an agent listens. */
export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly isLoopback: boolean };

/**
 * Reads `HOST:PORT`, `[IPV6]:PORT`, `PORT` alone for loopback, or `unix:/PATH`. Port 0 takes a free one.
 * @throws PynqLlmError AGENT_LISTEN_ADDRESS
 */
export function parseListenAddress(text: string): ListenAddress {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    // The kernel's limit of a socket's path is 107 bytes.
    if (path.startsWith('/') && Buffer.byteLength(path) <= 107) return { kind: 'unix', path };
    throw bad(text, 'a socket needs an absolute path of at most 107 bytes');
  }
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw bad(text, 'it is not HOST:PORT');
  const host = match[1] ?? match[2] ?? '127.0.0.1';
  return { kind: 'tcp', host, port, isLoopback: isLoopback(host) };
}

function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === '::1' || host === 'localhost';
}

function bad(text: string, why: string): PynqLlmError {
  return new PynqLlmError('AGENT_LISTEN_ADDRESS', `The agent cannot listen on "${text}": ${why}.`, {
    context: { listen: text },
  });
}
