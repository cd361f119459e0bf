import { connect as connectTcp } from 'node:net';
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { milliseconds, optionsOf, requireArguments, signal } from '../arguments.js';
import { Authenticator } from './authenticator.js';
import { type ResolvedTarget, resolveTarget } from './client-config.js';
import { SshConnection } from './connection.js';
import { type HostKeyAlgorithm, HostKeyCheck, type HostKeyOptions } from './host-key.js';
import { loadSsh2 } from './load-ssh2.js';
import { ProxyCommand } from './proxy-command.js';
import type { Secrets } from './secrets.js';
import { formatTarget, parseSshTarget, type SshTarget } from './target.js';

const TIMEOUT_MS = 20_000;
/** A peer that is silent for three of these is gone. */
const KEEPALIVE_MS = 10_000;
/** As many as somebody would name; a configuration that leads in circles ends here. */
const MAX_JUMPS = 8;

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
 * Logs in to a board, by the way that the SSH configuration says. The host's key is checked as OpenSSH does.
 * @throws PynqLlmError SSH_CONFIG, SSH_CONFIG_UNSUPPORTED, SSH_UNREACHABLE, SSH_HOST_KEY_CHANGED, SSH_HOST_KEY_UNKNOWN, SSH_AUTH_FAILED,
 *   SSH_TIMEOUT
 */
export async function openSsh(target: SshTarget, options: SshOptions = {}): Promise<SshConnection> {
  requireArguments({ target, options }, OPEN);
  return open(target, options, 0);
}

/** @param jumps hosts to go through instead of those of the configuration */
async function open(
  target: SshTarget,
  options: SshOptions,
  depth: number,
  jumps?: readonly string[],
): Promise<SshConnection> {
  const resolved = await resolveTarget(target);
  const path = jumps ?? resolved.proxyJump;
  const jump = path.at(-1);
  if (jump === undefined) return direct(resolved, options);
  if (depth === MAX_JUMPS)
    throw new PynqLlmError('SSH_CONFIG', `ProxyJump leads through more than ${MAX_JUMPS} hosts.`);
  // A fingerprint and a password are those of the board, not of the hosts on the way.
  const onTheWay = { ...options, hostKey: undefined, password: undefined, secrets: undefined };
  const before = path.slice(0, -1);
  const gate = await open(parseSshTarget(jump), onTheWay, depth + 1, before.length > 0 ? before : undefined);
  try {
    const stream = await gate.forwardToHost(resolved.hostName, resolved.port);
    stream.once('close', () => void gate.close());
    return await handshake(resolved, options, { stream, peer: () => undefined, report: () => '' });
  } catch (error) {
    await gate.close();
    throw error;
  }
}

async function direct(target: ResolvedTarget, options: SshOptions): Promise<SshConnection> {
  if (target.proxyCommand === undefined) {
    const { hostName: host, port, family, bindAddress: localAddress } = target;
    const socket = connectTcp({
      host,
      port,
      ...(family && { family }),
      ...(localAddress && { localAddress }),
    });
    return handshake(target, options, { stream: socket, peer: () => socket.remoteAddress, report: () => '' });
  }
  const proxy = new ProxyCommand(target.proxyCommand);
  const close = () => proxy.close();
  return handshake(target, options, {
    stream: proxy.stream,
    peer: () => undefined,
    report: () => proxy.report,
    close,
  });
}

/** The bytes' way to the host. */
interface Way {
  readonly stream: Duplex;
  /** The other end's address, where it is the host itself. */
  readonly peer: () => string | undefined;
  /** What else to say of a failure. */
  readonly report: () => string;
  /** What ends with the connection. */
  readonly close?: () => Promise<void>;
}

function handshake(target: ResolvedTarget, options: SshOptions, way: Way): Promise<SshConnection> {
  const { signal, timeoutMs = target.connectTimeoutMs ?? TIMEOUT_MS } = options;
  const place = formatTarget({ user: target.user, host: target.hostName, port: target.port });
  const secrets = options.secrets ?? { password: undefined, passphrases: new Map<string, string>() };
  secrets.password ??= options.password;
  const authenticator = new Authenticator(target, target.login, options.prompts, secrets);
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
        () => fail(problem('SSH_TIMEOUT', `${place}: ${step} did not answer within ${timeoutMs} ms`)),
        timeoutMs,
      );
    };
    let hasFailed = false;
    const fail = (error: unknown) => {
      if (hasFailed) return;
      hasFailed = true;
      stopClock();
      signal?.removeEventListener('abort', onAbort);
      // Whatever a broken handshake still says is of no interest.
      client.removeAllListeners().on('error', () => {});
      client.destroy();
      // Without a client that has taken it, nobody else ends it.
      way.stream.on('error', () => {}).destroy();
      // What a proxy says last comes after the end of its output.
      const words = way.close?.() ?? Promise.resolve();
      words.then(() => reject(error instanceof Problem ? error.toError(way.report()) : error), reject);
    };
    const onAbort = () => fail(signal?.reason);
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    let hostKey: HostKeyCheck;
    let algorithms: HostKeyAlgorithm[];
    try {
      hostKey = new HostKeyCheck(target.hostKeys, options);
      algorithms = hostKey.algorithms;
    } catch (error) {
      return fail(error);
    }
    client.on('error', (cause) => fail(failure(cause, place, target, authenticator)));
    client.on('close', () => fail(failure(new Error('the board closed it'), place, target, authenticator)));
    client.on('ready', () => {
      stopClock();
      signal?.removeEventListener('abort', onAbort);
      authenticator.accepted();
      client.removeAllListeners('error').removeAllListeners('close');
      client.once('close', () => void way.close?.());
      resolve(new SshConnection(client, place, hostKey.fingerprint ?? '', secrets.password));
    });
    startClock('the board');
    client.connect({
      username: target.user,
      sock: way.stream,
      algorithms: { serverHostKey: algorithms },
      // Waiting for the user must not end in a timeout: the clock above counts only the board's time.
      readyTimeout: 0,
      keepaliveInterval: KEEPALIVE_MS,
      keepaliveCountMax: 3,
      hostVerifier: (key: Buffer, verify: (isGood: boolean) => void) => {
        stopClock();
        hostKey.check(key, { address: way.peer() }).then((trust) => {
          authenticator.isDoubtful = trust === 'doubtful';
          startClock('its key exchange');
          verify(true);
        }, fail);
      },
      authHandler: (offered, _partial, next) => {
        stopClock();
        authenticator.next(offered).then((method) => {
          if (method === undefined) return fail(refused(place, target, authenticator));
          startClock('its check of who we are');
          next(method);
        }, fail);
      },
    });
  });
}

/** An error whose message may get an end: what a proxy on the way says. */
class Problem {
  constructor(
    readonly code: 'SSH_TIMEOUT' | 'SSH_UNREACHABLE',
    readonly text: string,
    readonly cause?: unknown,
  ) {}

  toError(report: string): PynqLlmError {
    const end = report === '' ? '.' : ` (${report}).`;
    return new PynqLlmError(this.code, `${this.text}${end}`, { cause: this.cause });
  }
}

function problem(code: Problem['code'], text: string, cause?: unknown): Problem {
  return new Problem(code, text.replace(/\.$/, ''), cause);
}

function failure(
  cause: Error & { level?: string },
  place: string,
  target: ResolvedTarget,
  authenticator: Authenticator,
): PynqLlmError | Problem {
  if (isPynqLlmError(cause)) return cause;
  if (cause.level === 'client-authentication') return refused(place, target, authenticator);
  return problem('SSH_UNREACHABLE', `${place} could not be reached: ${cause.message}`, cause);
}

function refused(
  place: string,
  { login }: ResolvedTarget,
  { tried, isDoubtful }: Authenticator,
): PynqLlmError {
  const notes = [
    ...login.notFollowed.map((directive) => `${directive} of the SSH configuration cannot be followed.`),
    ...(isDoubtful ? ['Its host key is not the known one, so no password was shown to it.'] : []),
  ];
  const what =
    tried.length === 0
      ? `No key was found and no password given for ${place}.`
      : `${place} accepted nothing of: ${tried.join(', ')}.`;
  return new PynqLlmError('SSH_AUTH_FAILED', [what, ...notes].join(' '));
}
