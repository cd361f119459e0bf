import { PynqLlmError } from '../../errors/index.js';
import type { Store, StoredMessage } from './store.js';

/**
 * Messages of a store, from `from` on, then those that come. Yields undefined once, where all that was stored at the start has been read.
 * @param closed aborted when the bus is
 */
export async function* readStore(
  store: Store,
  pattern: string,
  from: number,
  closed: AbortSignal,
  signal: AbortSignal | undefined,
): AsyncGenerator<StoredMessage | undefined, void, void> {
  const stop = signal ? AbortSignal.any([closed, signal]) : closed;
  const end = store.last;
  let told = false;
  for (let next = from; ; ) {
    if (closed.aborted) throw new PynqLlmError('BUS_CLOSED', 'The bus was closed while a log was read.');
    if (signal?.aborted) return;
    const message = store.next(pattern, next);
    if (!told && (message === undefined || message.sequence > end)) {
      told = true;
      yield undefined;
      continue;
    }
    if (message) {
      next = message.sequence + 1;
      yield message;
      continue;
    }
    next = Math.max(next, store.last + 1);
    await new Promise<void>((resolve) => {
      const done = () => {
        forget();
        stop.removeEventListener('abort', done);
        resolve();
      };
      const forget = store.onAppend(done);
      stop.addEventListener('abort', done);
    });
  }
}
