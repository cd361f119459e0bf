import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import { type BoardClient, connect, type Model } from '../sdk/index.js';
import type { DeviceOptions } from './options.js';
import { Progress } from './output/progress.js';
import { packageFile } from './package-files.js';

/** The bundled model: what `npm start` runs. */
export const DEFAULT_MODEL = packageFile('models', 'tiny-stories-Q3_K_M.gguf');

/** Connects, runs, closes: a broken run closes too. Ctrl-C aborts `signal` once; a second one ends the process. */
export async function withBoard<T>(
  options: DeviceOptions,
  run: (board: BoardClient, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const interrupt = new AbortController();
  const onInterrupt = () => {
    if (interrupt.signal.aborted) process.exit(130);
    interrupt.abort();
  };
  process.removeAllListeners('SIGINT');
  process.on('SIGINT', onInterrupt);
  await using board = await connect(options.device, {
    ...(options.token === undefined ? {} : { token: options.token }),
    signal: interrupt.signal,
  });
  return await run(board, interrupt.signal);
}

/**
 * The model to work with: a file is uploaded (what the board already has is skipped, by digest), anything else is the
 * name or digest of a model that the board has. Loaded and ready.
 */
export async function openModel(
  board: BoardClient,
  nameOrPath: string,
  signal: AbortSignal,
  contextLength?: number,
): Promise<Model> {
  const load = contextLength === undefined ? {} : { contextLength };
  if (!existsSync(nameOrPath)) {
    try {
      return await board.models.load(nameOrPath, load);
    } catch (cause) {
      if (!isPynqLlmError(cause, 'AGENT_MODEL_UNKNOWN')) throw cause;
      throw new PynqLlmError(
        'CLI_MODEL_AMBIGUOUS',
        `"${nameOrPath}" is neither a file here nor a model on the board.`,
        { cause },
      );
    }
  }
  const progress = new Progress(`upload ${basename(nameOrPath)}`);
  const uploaded = await board.models.upload(nameOrPath, {
    signal,
    onProgress: ({ bytes, totalBytes }) => progress.update(bytes, totalBytes),
    ...load,
  });
  progress.finish();
  return uploaded;
}
