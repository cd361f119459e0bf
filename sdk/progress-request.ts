import { PynqLlmError } from '../errors/index.js';
import {
  type OnProgress,
  type Params,
  type Result,
  type StreamEvent,
  systemClock,
} from '../protocol/index.js';
import type { CallOptions, Connection } from './connection.js';

/** Long requests may take hours on a board, but not so long without telling how far they are. */
const STALL_MS = 10 * 60_000;
/** The longest that a timer takes: 24 days. */
const NO_DEADLINE_MS = 2 ** 31 - 1;

type LongMethod = 'models.load' | 'models.pin' | 'score';

/** A long request whose stream tells how far it has come: given up when it tells nothing for too long. */
export async function requestWithProgress<M extends LongMethod>(
  connection: Connection,
  method: M,
  params: Params<M>,
  tell: OnProgress | undefined,
  options: CallOptions,
  stallMs = STALL_MS,
): Promise<Result<M>> {
  const { result, release } = await openWithProgress(
    connection,
    method,
    params,
    { tell, onLost: () => {} },
    options,
    stallMs,
  );
  release();
  return result;
}

/** The same for a result that lives as long as the connection: until it is released, its loss is told. */
export async function openWithProgress<M extends LongMethod>(
  connection: Connection,
  method: M,
  params: Params<M>,
  reader: {
    readonly tell: OnProgress | undefined;
    readonly onLost: (reason: PynqLlmError) => void;
  },
  { timeoutMs = NO_DEADLINE_MS, signal }: CallOptions,
  stallMs = STALL_MS,
): Promise<{ readonly result: Result<M>; release(): void }> {
  const stalled = new AbortController();
  const watch = () =>
    systemClock.after(stallMs, () =>
      stalled.abort(
        new PynqLlmError(
          'SDK_NO_PROGRESS',
          `The agent is connected but told nothing about ${method} for ${stallMs} ms.`,
          { context: { method, stallMs } },
        ),
      ),
    );
  let cancelWatch = watch();
  const onEvent = ({ done, total, unit }: StreamEvent<M>) => {
    cancelWatch();
    cancelWatch = watch();
    reader.tell?.(done, total, unit);
  };
  try {
    const either = signal === undefined ? stalled.signal : AbortSignal.any([stalled.signal, signal]);
    const { onLost } = reader;
    const stream = await connection.openStream(
      method,
      params,
      { onEvent, onLost },
      { timeoutMs, signal: either },
    );
    stream.grant(Number.MAX_SAFE_INTEGER);
    const release = () => stream.release(true);
    try {
      return { result: await stream.result, release };
    } catch (error) {
      // Where it was given up here, the agent need not go on.
      stream.release(false);
      throw error;
    }
  } finally {
    cancelWatch();
  }
}
