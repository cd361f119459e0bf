import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { matches } from '../checks.js';
import type { NatsLink } from './link.js';
import { DELETE, ID_HEADER, OPERATION_HEADER } from './publish.js';
import { findOnce, streamBounds } from './streams.js';

/** A message as a stream has it. */
export interface StreamMessage {
  readonly sequence: number;
  readonly subject: string;
  readonly id: string;
  readonly data: Uint8Array;
  readonly deleted: boolean;
}
/** Where nothing was heard, looked at again after this: what is heard can be lost. */
const IDLE_MS = 1_000;
const TIMEOUT_MS = 5_000;
/** Messages that a reader asks for at once. */
const MOST_AHEAD = 16;

/** @param query a subject to get its last message, or the first message from a sequence on of a pattern */
export async function directGet(
  link: NatsLink,
  stream: string,
  query: string | { readonly from: number; readonly pattern: string },
  timeoutMs = TIMEOUT_MS,
): Promise<StreamMessage | undefined> {
  const what = `The stream ${stream} cannot be read`;
  await findOnce(link, `STREAM.INFO.${stream}`, timeoutMs, what);
  const missing = () => new PynqLlmError('BUS_MISSING', `${what}: the broker has none.`);
  const api = `${link.api}.DIRECT.GET.${stream}`;
  // The subject's own form is one that permissions can name.
  const answer =
    typeof query === 'string'
      ? await link.call(`${api}.${query}`, '', timeoutMs, missing)
      : await link.call(
          api,
          JSON.stringify({ seq: query.from, next_by_subj: query.pattern }),
          timeoutMs,
          missing,
        );
  const { headers } = answer;
  if (headers?.code === 404) return undefined;
  const sequence = Number(headers?.get('Nats-Sequence'));
  if (headers?.code !== 0 || !Number.isSafeInteger(sequence) || sequence < 1)
    throw new PynqLlmError(
      'BUS_REFUSED',
      `A message of ${stream} was asked for; the broker says "${headers?.description ?? ''}" (${headers?.code ?? 0}).`,
    );
  return {
    sequence,
    subject: headers.get('Nats-Subject'),
    id: headers.get(ID_HEADER),
    data: new Uint8Array(answer.data),
    deleted: headers.get(OPERATION_HEADER) === DELETE,
  };
}

/**
 * The messages of a stream from `from` on, then those that come; undefined once, after those that were there. Each is asked for by its place, since the
 * library's own consumers stood still for most of a minute after a broker's restart; what is published tells when to look.
 */
export async function* readStream(
  link: NatsLink,
  stream: string,
  pattern: string,
  from: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<StreamMessage | undefined, void, void> {
  const bell = new Bell(link.closed, signal);
  const detach = link.attach({
    start: (connection) => {
      bell.ring();
      return connection.subscribe(pattern, {
        callback: (error) => {
          if (!error) bell.ring();
        },
      });
    },
    // Without it, looking every second is left.
    refused: () => {},
  });
  try {
    let told = false;
    let last: StreamMessage | undefined;
    let looked = link.connection;
    for (let next = from, ahead = 1; !signal?.aborted; ) {
      link.checkOpen();
      const asked = next;
      const messages = await Promise.all(
        Array.from({ length: ahead }, (_, i) => getNext(link, stream, { from: asked + i, pattern })),
      );
      const { connection } = link;
      if (connection !== undefined && connection !== looked) {
        const first = looked && (await firstOfNewCount(link, stream, pattern, next, last));
        if (first === 'away') continue;
        looked = connection;
        if (first !== undefined) {
          next = first;
          last = undefined;
          continue;
        }
      }
      let found = 0;
      let message = messages[0];
      // Each is the first of the pattern from its place on: after one, the answer for the place behind it is the next.
      while (message && message !== 'away') {
        next = message.sequence + 1;
        last = message;
        found++;
        bell.found();
        if (matches(pattern, message.subject)) yield message;
        if (signal?.aborted) return;
        message = messages[next - asked];
      }
      // Where one follows the other, more are asked for at once.
      ahead = found === messages.length ? Math.min(MOST_AHEAD, 2 * ahead) : 1;
      if (found > 0 || message === 'away') continue;
      if (told) await bell.wait();
      else {
        told = true;
        yield undefined;
      }
    }
  } finally {
    bell.close();
    detach();
  }
}

/**
 * Where the next message has to be looked for after the broker came back, if it counts the stream anew: nats-server 2.9 may, where it is
 * killed while the stream is empty.
 * @param last what was read last @returns undefined where it counts on
 */
async function firstOfNewCount(
  link: NatsLink,
  stream: string,
  pattern: string,
  next: number,
  last: StreamMessage | undefined,
): Promise<number | undefined | 'away'> {
  try {
    const what = `The stream ${stream} cannot be looked at`;
    const bounds = await streamBounds(link, stream, TIMEOUT_MS, what);
    if (bounds.last < next - 1) return bounds.first;
    if (last === undefined) return undefined;
    // It may have come as far again.
    const now = await directGet(link, stream, { from: last.sequence, pattern });
    const isOther = now !== undefined && now.sequence === last.sequence && now.id !== last.id;
    return isOther ? bounds.first : undefined;
  } catch (error) {
    if (!isPynqLlmError(error, 'BUS_UNAVAILABLE')) throw error;
    return 'away';
  }
}

async function getNext(link: NatsLink, stream: string, query: { from: number; pattern: string }) {
  try {
    return await directGet(link, stream, query);
  } catch (error) {
    // Readers outlast brokers.
    if (!isPynqLlmError(error, 'BUS_UNAVAILABLE')) throw error;
    link.forget(`STREAM.INFO.${stream}`);
    return 'away';
  }
}

/** Waits for something to be there: it is heard of a little before it is stored. */
class Bell {
  readonly #stop: AbortSignal;
  #rung = false;
  /** Pauses between looks after the bell was rung: doubled each time. */
  #pauseMs = 0;
  #wake: () => void = () => {};
  readonly #ended = () => this.#wake();

  constructor(closed: AbortSignal, signal: AbortSignal | undefined) {
    this.#stop = signal ? AbortSignal.any([closed, signal]) : closed;
    this.#stop.addEventListener('abort', this.#ended);
  }
  ring(): void {
    this.#rung = true;
    this.#wake();
  }
  found(): void {
    this.#pauseMs = 0;
  }
  async wait(): Promise<void> {
    if (this.#rung) {
      this.#rung = false;
      this.#pauseMs = 1;
    }
    // Heard of, and not there yet.
    const soon = this.#pauseMs > 0 && this.#pauseMs <= 64;
    const ms = soon ? this.#pauseMs : IDLE_MS;
    this.#pauseMs = soon ? this.#pauseMs * 2 : 0;
    if (this.#stop.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
  }
  close(): void {
    this.#stop.removeEventListener('abort', this.#ended);
  }
}
