import { z } from 'zod';
import type { CounterReading, StepEvent } from '../protocol/index.js';
import { optionsOf, requireArguments, signal } from './arguments.js';
import { isBroken } from './broken.js';
import type { Connection, OpenedStream } from './connection.js';
import { EventQueue } from './event-queue.js';

const SUBSCRIBE = z.object({ options: optionsOf({ signal }) });

/** Steps that may be on the way or unread; more are dropped and counted. */
const WINDOW = 64;

/** How long steps are told. */
export interface SubscribeOptions {
  /** Ends the loop. */
  readonly signal?: AbortSignal | undefined;
}

/** Hardware counters and totals of the driver: `board.counters`. */
export class CountersClient {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Every hardware counter, and what crossed the Board seam since the device was opened. */
  read(): Promise<CounterReading> {
    return this.#connection.request('counters.read', {});
  }

  /** Sets the hardware counters to 0. @throws PynqLlmError PROTOCOL_ROLE_REQUIRED */
  async reset(): Promise<void> {
    await this.#connection.request('counters.reset', {});
  }

  /**
   * Chooses which state each monitored unit's counter counts; others keep theirs.
   * @param targets state by unit, by name or number: `{ compute: 'computing' }`
   * @throws PynqLlmError DRIVER_UNKNOWN_COUNTER, PROTOCOL_ROLE_REQUIRED
   */
  async setTargets(targets: Readonly<Record<string, string | number>>): Promise<void> {
    await this.#connection.request('counters.setTargets', { targets });
  }

  /** One event for each step of the engine, until the signal aborts or the loop is left. */
  async *subscribe(options: SubscribeOptions = {}): AsyncGenerator<StepEvent, void, void> {
    requireArguments({ options }, SUBSCRIBE);
    const queue = new EventQueue<StepEvent>();
    const stop = () => queue.end();
    options.signal?.addEventListener('abort', stop, { once: true });
    if (options.signal?.aborted) stop();
    let stream: OpenedStream<'counters.subscribe'> | undefined;
    let left = false;
    let read = 0;
    const open = async (): Promise<void> => {
      const opened = await this.#connection.openStream(
        'counters.subscribe',
        {},
        {
          onEvent: (event) => queue.push(event),
          onLost: () => {
            stream = undefined;
            if (!left) open().catch((error: unknown) => queue.fail(error));
          },
        },
      );
      // The loop may be left while the connection is made again.
      if (left) {
        opened.result.catch(() => {});
        opened.release(false);
        return;
      }
      stream = opened;
      read = 0;
      stream.grant(WINDOW);
      try {
        await opened.result;
      } catch (error) {
        // Where the connection broke, `onLost` opens the stream on the next one.
        if (!isBroken(error)) throw error;
      }
    };
    try {
      await open();
      for (;;) {
        const event = await queue.next();
        if (event === undefined) return;
        read++;
        if (read % (WINDOW / 4) === 0) stream?.grant(read + WINDOW);
        yield event;
      }
    } finally {
      left = true;
      options.signal?.removeEventListener('abort', stop);
      stream?.release(false);
    }
  }
}
