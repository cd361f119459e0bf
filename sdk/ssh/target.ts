import { z } from 'zod';
import { PynqLlmError } from '../../errors/index.js';
import { requireArguments } from '../arguments.js';

/** A board as its user names it; what is left out comes from ~/.ssh/config. */
export interface SshTarget {
  /** Host name, address, or a `Host` of ~/.ssh/config. */
  readonly host: string;
  /** Name of the login; that of ~/.ssh/config, else that of the user here. */
  readonly user?: string | undefined;
  /** 1 to 65535; that of ~/.ssh/config, else 22. */
  readonly port?: number | undefined;
}

/** Where the agent of a board that `deploy` set up listens. */
export const AGENT_SOCKET = '/run/pynq-llm/agent.sock';

/** What an `ssh://` URL says: the board, and where its agent listens there. */
export interface SshUrl {
  readonly target: SshTarget;
  /** Path of a Unix socket, or a port of the board's loopback interface. */
  readonly agent: string | number;
}

const ARGUMENTS = z.object({ text: z.string() });
const TARGET =
  /^(?:([^@:/?#\s]+)@)?(\[[0-9a-fA-F:.]+(?:%\w+)?\]|[^@:/?#\s[\]-][^@:/?#\s[\]]*)(?::(\d{1,5}))?$/;

/** Reads `HOST`, `USER@HOST`, `USER@HOST:PORT`, or the same after `ssh://`. @throws PynqLlmError SSH_TARGET */
export function parseSshTarget(text: string): SshTarget {
  requireArguments({ text }, ARGUMENTS);
  const match = TARGET.exec(text.replace(/^ssh:\/\//, '').replace(/\/$/, ''));
  const port = match?.[3] === undefined ? undefined : Number(match[3]);
  if (match === null || port === 0 || (port ?? 1) > 65_535) throw bad(text, 'it is not USER@HOST:PORT');
  return { user: match[1], host: match[2].replace(/^\[|\]$/g, ''), port };
}

/**
 * Reads `ssh://USER@HOST:PORT`, followed by the path of the agent's socket or `?port=N` where the agent listens on a
 * port of the board's loopback interface.
 * @throws PynqLlmError SSH_TARGET
 */
export function parseSshUrl(url: string): SshUrl {
  const match = /^ssh:\/\/([^/?]+)(\/[^?]*)?(?:\?port=(\d{1,5}))?$/.exec(url);
  if (match === null) throw bad(url, 'it is not ssh://USER@HOST:PORT/SOCKET');
  const [, place, path = '/', port] = match;
  if (port !== undefined && (path !== '/' || Number(port) < 1 || Number(port) > 65_535))
    throw bad(url, 'it takes either the path of a socket or a port from 1 to 65535');
  const socket = path === '/' ? AGENT_SOCKET : path;
  return { target: parseSshTarget(place), agent: port === undefined ? socket : Number(port) };
}

/** `user@host:port`, for people. */
export function formatTarget({ user, host, port }: SshTarget): string {
  const place = host.includes(':') ? `[${host}]` : host;
  return `${user === undefined ? '' : `${user}@`}${place}${port === undefined || port === 22 ? '' : `:${port}`}`;
}

function bad(text: string, why: string): PynqLlmError {
  // What stands before @ may be a password that somebody put there.
  const shown = text.replace(/[^@/]*:[^@/]*@/, '…@').slice(0, 200);
  return new PynqLlmError('SSH_TARGET', `"${shown}" names no board: ${why}.`);
}
