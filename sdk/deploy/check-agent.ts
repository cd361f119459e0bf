import { setTimeout as delay } from 'node:timers/promises';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { BoardClient } from '../board-client.js';
import { openBoard } from '../open-board.js';
import type { RemoteHost } from '../ssh/index.js';
import { throughStream } from '../transports/ssh.js';
import type { BoardState, Switch } from './board-state.js';

const RETRY_MS = 500;
const CONNECT_MS = 30_000;
/** So often a new agent is asked whether it still runs. */
const STAYS_POLL_MS = 500;
/** One golden MatMul of each weight type, the smallest: a board in emulation has minutes for it, not hours. */
const GOLDEN = /gauss_small/;

export interface AgentCheckOptions {
  /** The agent's socket on the board. */
  readonly socket: string;
  /** The release that has to answer. */
  readonly release: string;
  /** Golden vectors; undefined for a check without them. */
  readonly vectors: string | undefined;
  readonly deadlineMs: number;
  /** How long it then has to go on running, beside the deadline. */
  readonly staysMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits until the agent of a release answers through the tunnel, its device is ready and its core computes right, and
 * sees that it goes on running.
 * @throws PynqLlmError DEPLOY_UNHEALTHY, SSH_CONNECTION_LOST
 */
export async function checkAgent(
  host: RemoteHost,
  board: Switch,
  options: AgentCheckOptions,
): Promise<{ readonly selfTestChecks: number }> {
  const deadline = AbortSignal.timeout(options.deadlineMs);
  const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
  try {
    await waitForRelease(board, options.release, signal);
    await using client = await connectAgent(host, options.socket, signal);
    const { state } = await client.health();
    if (state !== 'ready') throw unhealthy(`its device is ${state}`, undefined);
    const selfTestChecks =
      options.vectors === undefined ? 0 : await selfTest(client, options.vectors, signal);
    await stays(client, options);
    return { selfTestChecks };
  } catch (error) {
    options.signal?.throwIfAborted();
    if (isPynqLlmError(error, 'SSH_CONNECTION_LOST') || isPynqLlmError(error, 'DEPLOY_UNHEALTHY'))
      throw error;
    if (deadline.aborted) throw unhealthy(`not done within ${options.deadlineMs / 1000} s`, error);
    throw unhealthy(error instanceof PynqLlmError ? error.message : String(error), error);
  }
}

/** @returns how many checks passed: all */
async function selfTest(client: BoardClient, vectors: string, signal: AbortSignal): Promise<number> {
  const { cases, passed } = await client.device.selfTest(vectors, {
    signal,
    only: (name) => GOLDEN.test(name),
  });
  if (passed === cases && cases > 0) return cases;
  throw unhealthy(`${cases - passed} of ${cases} self-test checks failed`, undefined);
}

/** An agent that ends takes this connection along, though the next one may answer soon. */
async function stays(client: BoardClient, { staysMs, signal }: AgentCheckOptions): Promise<void> {
  for (const end = performance.now() + staysMs; performance.now() < end; ) {
    await delay(Math.min(STAYS_POLL_MS, staysMs), undefined, { signal });
    try {
      await client.health({ signal });
    } catch (cause) {
      signal?.throwIfAborted();
      throw unhealthy('it ended or hung soon after it had answered', cause);
    }
  }
}

/** Whether the agent of this release runs. */
export function isRunning({ releases }: BoardState, release: string): boolean {
  return releases.some(({ digest, running }) => running && digest === release);
}

async function waitForRelease(board: Switch, release: string, signal: AbortSignal): Promise<void> {
  while (!isRunning(await board.status(), release)) await delay(RETRY_MS, undefined, { signal });
}

/** An agent that has just been started listens after seconds, and answers once its device is open: a slow board takes longer than one try. */
const TOO_EARLY = ['SSH_FORWARD_FAILED', 'SDK_CONNECT_FAILED', 'PROTOCOL_REQUEST_TIMEOUT'] as const;

async function connectAgent(host: RemoteHost, socket: string, signal: AbortSignal): Promise<BoardClient> {
  let last: unknown;
  for (;;) {
    try {
      return await openBoard(
        throughStream(() => host.forwardTo(socket), socket),
        { client: 'pynq-llm deploy', timeoutMs: CONNECT_MS, signal },
        0,
      );
    } catch (error) {
      if (signal.aborted) throw last ?? error;
      if (!TOO_EARLY.some((code) => isPynqLlmError(error, code))) throw error;
      last = error;
    }
    await delay(RETRY_MS, undefined, { signal }).catch(() => {
      throw last;
    });
  }
}

function unhealthy(why: string, cause: unknown): PynqLlmError {
  return new PynqLlmError('DEPLOY_UNHEALTHY', `The agent did not pass: ${why}.`, { cause });
}
