import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { milliseconds, optionsOf, requireArguments, signal } from '../arguments.js';
import { Authenticator } from './authenticator.js';
import { type ResolvedTarget, resolveTarget } from './client-config.js';
import { SshConnection } from './connection.js';
import { HostKeyCheck, type HostKeyOptions } from './host-key.js';
import { loadSsh2 } from './load-ssh2.js';
import type { Secrets } from './secrets.js';
import { formatTarget, parseSshTarget, type SshTarget } from './target.js';

const TIMEOUT_MS = 20_000;
/** A peer that is silent for three of these is gone. */
const KEEPALIVE_MS = 10_000;
const MAX_JUMPS = 4;

const OPEN = z.object({
  target: optionsOf({ host: z.string(), user: z.string().optional(), port: z.number().optional() }),
  options: optionsOf({ password: z.string().optional(), timeoutMs: milliseconds, signal }),
});

/** How one logs in to a board. */
export interface SshOptions extends HostKeyOptions {
  /** A password to try where no key is accepted. */
  readonly password?: string | undefined;
  /** Milliseconds for each step of making the connection: reaching the board, its key, each attempt to log in; 20 s. */
  readonly timeoutMs?: number | undefined;
  /** Gives up the attempt to log in. */
  readonly signal?: AbortSignal | undefined;
  /** Filled with what the board accepted, and used for the next connection to it. */
  readonly secrets?: Secrets | undefined;
}

/**
 * Logs in to a board. The host's key is always checked against known_hosts.
 * @throws PynqLlmError SSH_CONFIG, SSH_UNREACHABLE, SSH_HOST_KEY_CHANGED, SSH_HOST_KEY_UNKNOWN, SSH_AUTH_FAILED,
 *   SSH_TIMEOUT
 */
export async function openSsh(target: SshTarget, options: SshOptions = {}): Promise<SshConnection> {
  requireArguments({ target, options }, OPEN);
  return open(target, options, 0);
}

async function open(target: SshTarget, options: SshOptions, jumps: number): Promise<SshConnection> {
  const resolved = resolveTarget(target);
  const jump = resolved.proxyJump?.split(',').at(-1);
  if (jump === undefined) return handshake(resolved, options, undefined);
  if (jumps === MAX_JUMPS)
    throw new PynqLlmError('SSH_CONFIG', `ProxyJump leads through more than ${MAX_JUMPS} hosts.`);
  // A fingerprint and a password are those of the board, not of the hosts on the way.
  const onTheWay = { ...options, hostKey: undefined, password: undefined, secrets: undefined };
  const gate = await open(parseSshTarget(jump), onTheWay, jumps + 1);
  try {
    const socket = await gate.forwardToHost(resolved.hostName, resolved.port);
    socket.once('close', () => void gate.close());
    return await handshake(resolved, options, socket);
  } catch (error) {
    await gate.close();
    throw error;
  }
}

function handshake(
  target: ResolvedTarget,
  options: SshOptions,
  socket: Duplex | undefined,
): Promise<SshConnection> {
  const { signal, timeoutMs = TIMEOUT_MS } = options;
  const place = formatTarget({ user: target.user, host: target.hostName, port: target.port });
  const hostKey = new HostKeyCheck(target, options);
  const secrets = options.secrets ?? { password: undefined, passphrases: new Map<string, string>() };
  secrets.password ??= options.password;
  const authenticator = new Authenticator(target, options.prompts, secrets);
  const { Client } = loadSsh2();
  const client = new Client();
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let step = 'the board';
    const stopClock = () => clearTimeout(timer);
    const startClock = (next: string) => {
      stopClock();
      step = next;
      timer = setTimeout(
        () =>
          fail(new PynqLlmError('SSH_TIMEOUT', `${place}: ${step} did not answer within ${timeoutMs} ms.`)),
        timeoutMs,
      );
    };
    const fail = (error: unknown) => {
      stopClock();
      signal?.removeEventListener('abort', onAbort);
      // Whatever a broken handshake still says is of no interest.
      client.removeAllListeners().on('error', () => {});
      client.destroy();
      reject(error);
    };
    const onAbort = () => fail(signal?.reason);
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    client.on('error', (cause) => fail(failure(cause, place, authenticator)));
    client.on('close', () => fail(failure(new Error('the board closed it'), place, authenticator)));
    client.on('ready', () => {
      stopClock();
      signal?.removeEventListener('abort', onAbort);
      authenticator.accepted();
      client.removeAllListeners('error').removeAllListeners('close');
      resolve(new SshConnection(client, place, hostKey.fingerprint ?? '', secrets.password));
    });
    startClock('the board');
    client.connect({
      host: target.hostName,
      port: target.port,
      username: target.user,
      ...(socket === undefined ? {} : { sock: socket }),
      algorithms: { serverHostKey: hostKey.algorithms },
      // Waiting for the user must not end in a timeout: the clock above counts only the board's time.
      readyTimeout: 0,
      keepaliveInterval: KEEPALIVE_MS,
      keepaliveCountMax: 3,
      hostVerifier: (key: Buffer, verify: (isGood: boolean) => void) => {
        stopClock();
        hostKey.check(key).then(() => {
          startClock('its key exchange');
          verify(true);
        }, fail);
      },
      authHandler: (offered, _partial, next) => {
        stopClock();
        authenticator.next(offered).then((method) => {
          if (method === undefined) return fail(refused(place, authenticator));
          startClock('its check of who we are');
          next(method);
        }, fail);
      },
    });
  });
}

function failure(
  cause: Error & { level?: string },
  place: string,
  authenticator: Authenticator,
): PynqLlmError {
  if (isPynqLlmError(cause)) return cause;
  if (cause.level === 'client-authentication') return refused(place, authenticator);
  return new PynqLlmError('SSH_UNREACHABLE', `${place} could not be reached: ${cause.message}.`, { cause });
}

function refused(place: string, { tried }: Authenticator): PynqLlmError {
  return new PynqLlmError(
    'SSH_AUTH_FAILED',
    tried.length === 0
      ? `No key was found and no password given for ${place}.`
      : `${place} accepted nothing of: ${tried.join(', ')}.`,
  );
}
