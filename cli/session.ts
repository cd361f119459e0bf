import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import type { BoardClient, ConnectionEvent, LoadSettings, Model, StoredModel } from '../sdk/index.js';
import { EXIT, reportError, reportNotice } from './exit.js';
import type { DeviceOptions } from './options.js';
import { Progress, type ProgressStream } from './output/progress.js';
import { terminalPrompts } from './terminal-prompts.js';

/** After Ctrl-C the work has this long to end; a board that does not answer must not hold the terminal. */
const INTERRUPT_MS = 2_000;
/** A device that has said nothing for so long is told of. */
const SLOW_MS = 3_000;

/**
 * Connects, runs, closes: a broken run closes too. Ctrl-C as in `withInterrupt`.
 * @throws PynqLlmError CLI_INTERRUPTED if Ctrl-C kept `run` from ending well
 */
export function withBoard<T>(
  options: DeviceOptions,
  run: (board: BoardClient, signal: AbortSignal) => Promise<T>,
  how: HowToConnect = {},
): Promise<T> {
  return withInterrupt(async (signal) => {
    await using board = await connectBoard(options, signal, how);
    return await run(board, signal);
  });
}

/** As `withBoard`, for who looks at a fleet: it may have no board now. */
export function withFleet<T>(
  options: DeviceOptions,
  run: (fleet: BoardClient, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return withBoard(options, run, { withoutBoards: true });
}

interface HowToConnect {
  /** Of one of several boards. */
  readonly name?: string;
  readonly timeoutMs?: number | undefined;
  /** See SessionOptions. */
  readonly withoutBoards?: boolean;
}

/** Connects to the device that the flags name. @throws as `connect` */
export async function connectBoard(
  options: DeviceOptions,
  signal: AbortSignal,
  { name, timeoutMs, withoutBoards }: HowToConnect = {},
): Promise<BoardClient> {
  const { connect } = await import('../sdk/index.js');
  // Who sits there wants to know what is waited for; somebody may also be typing a password.
  const isWatched = process.stderr.isTTY && !options.device.startsWith('ssh:');
  const slow = isWatched
    ? setTimeout(() => reportNotice(`${options.device} has not answered yet: waiting.`), SLOW_MS)
    : undefined;
  try {
    return await connect(options.device, {
      token: options.token,
      fingerprint: options.tlsFingerprint,
      threads: options.threads,
      ssh: { prompts: terminalPrompts(name) },
      timeoutMs,
      signal,
      withoutBoards,
      onConnection: (event) => onConnection(event, name),
    });
  } finally {
    clearTimeout(slow);
  }
}

/** What ends a process unless it is asked otherwise: from outside, and with its terminal. */
const ENDING_SIGNALS = ['SIGTERM', 'SIGHUP'] as const;

/**
 * Runs what Ctrl-C may end: it aborts `signal`; a second one, or a run that does not end soon, ends the process. SIGTERM and SIGHUP
 * end the process too, after the run has put away what it had begun.
 * @throws PynqLlmError CLI_INTERRUPTED if Ctrl-C kept `run` from ending well
 */
export async function withInterrupt<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupt = new AbortController();
  const abort = (end: () => void) => {
    if (interrupt.signal.aborted) end();
    interrupt.abort();
    setTimeout(end, INTERRUPT_MS).unref();
  };
  const onInterrupt = () =>
    abort(() => {
      reportError(interrupted());
      process.exit(EXIT.interrupted);
    });
  let ending: NodeJS.Signals | undefined;
  const endBy = (signal: NodeJS.Signals) => {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  };
  const onEnding = (signal: NodeJS.Signals) => {
    ending = signal;
    abort(() => endBy(signal));
  };
  process.removeAllListeners('SIGINT');
  process.on('SIGINT', onInterrupt);
  for (const signal of ENDING_SIGNALS) process.on(signal, onEnding);
  try {
    return await run(interrupt.signal);
  } catch (cause) {
    if (!interrupt.signal.aborted) throw cause;
    throw interrupted(cause);
  } finally {
    for (const signal of ENDING_SIGNALS) process.off(signal, onEnding);
    if (ending !== undefined) endBy(ending);
  }
}

/** A board that went away is tried again for a while: whoever waits wants to know why nothing comes. */
function onConnection(event: ConnectionEvent, name: string | undefined): void {
  const who = name === undefined ? '' : `${name}: `;
  const what =
    event.type === 'restored'
      ? 'Connected again.'
      : `${event.reason.what} Trying again for ${event.retryMs / 1000} s.`;
  reportNotice(who + what);
}

function interrupted(cause?: unknown): PynqLlmError {
  return new PynqLlmError('CLI_INTERRUPTED', 'Interrupted.', { cause });
}

/**
 * The model to work with: a file is uploaded (what the board already has is skipped, by digest), anything else is the
 * name or digest of a model that the board has. Loaded and ready.
 */
export async function openModel(
  board: BoardClient,
  nameOrPath: string,
  signal: AbortSignal,
  settings: LoadSettings = {},
): Promise<Model> {
  const isFile = existsSync(nameOrPath);
  // Nothing is sent that the board could not load.
  if (isFile) await board.models.requireRoom(nameOrPath, settings);
  const digest = isFile
    ? (await storeModel(board, nameOrPath, signal)).digest
    : (await findModel(board, nameOrPath)).digest;
  return loadModel(board, digest, basename(nameOrPath), signal, settings);
}

/** Uploads a file, showing how far it is. @throws PynqLlmError as `board.models.store` */
export async function storeModel(
  board: BoardClient,
  path: string,
  signal: AbortSignal,
  name?: string,
  stream?: ProgressStream,
): Promise<StoredModel> {
  using hashing = new Progress(`check ${basename(path)}`, undefined, stream);
  using sending = new Progress(`upload ${basename(path)}`, undefined, stream);
  let progress = hashing;
  const stored = await board.models.store(path, {
    signal,
    name,
    onPhase: (phase) => {
      if (phase === 'digest') return;
      hashing.finish();
      progress = sending;
    },
    onProgress: (done, total) => progress.update(done, total),
  });
  sending.finish();
  return stored;
}

/** Loads a stored model, showing how far it is. */
export async function loadModel(
  board: BoardClient,
  digest: string,
  label: string,
  signal: AbortSignal,
  settings: LoadSettings = {},
  stream?: ProgressStream,
): Promise<Model> {
  using progress = new Progress(`load ${label}`, undefined, stream);
  const model = await board.models.load(digest, {
    ...settings,
    signal,
    onProgress: (done, total) => progress.update(done, total),
  });
  progress.finish();
  return model;
}

async function findModel(board: BoardClient, name: string): Promise<StoredModel> {
  try {
    return await board.models.get(name);
  } catch (cause) {
    if (!isPynqLlmError(cause, 'AGENT_MODEL_UNKNOWN')) throw cause;
    throw new PynqLlmError(
      'CLI_MODEL_UNKNOWN',
      `"${name}" is neither a file here nor a model on the board.`,
      { cause },
    );
  }
}
