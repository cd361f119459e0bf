import type { Clock } from '../protocol/index.js';
import { ApiError } from './api-error.js';

/** Bodies that wait for their turn, each with what its socket has buffered. */
const MAX_WAITING = 32;
const WAIT_MS = 20_000;

/** A sender of a byte now and then would keep the place: whoever sends less than this in so many looks is let go... */
const LEAST_BYTES = 64 * 1024;
const LOOKS = 5;
const LOOK_MS = 1_000;
/** ...and while others wait, whoever is not done after so long, as slowly as a legal pace would take a large body. */
const MAX_TURN_MS = 10_000;

/** What requests under way may have in memory when a next body is begun: their prompts are kept while they wait. */
const MAX_KEPT_BYTES = 24 * 1024 * 1024;

/** A large body that is to be read. */
export interface LargeBody {
  /** Whose it is: turns go round between clients. */
  readonly client: string;
  /** Bytes that came so far. */
  readonly received: () => number;
  /** Its turn has come. */
  readonly begin: () => void;
  /** It had to wait too long, or is too slow; its turn is over. */
  readonly fail: (reason: ApiError) => void;
}

interface Entry {
  readonly body: LargeBody;
  /** Ends its wait, or the watch over its turn. */
  cancel: () => void;
}

/** Lets large bodies be read one at a time, so that those of a hundred connections need the memory of one. */
export class BodyTurns {
  readonly #clock: Clock;
  /** By client; the one that stands first is next. */
  readonly #waiting = new Map<string, Entry[]>();
  #holder: Entry | undefined;
  #kept = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Asks for a turn. @returns what ends it, or the wait for it; it may be called again */
  enter(body: LargeBody): () => void {
    const entry: Entry = { body, cancel: () => {} };
    const own = this.#waiting.get(body.client) ?? [];
    if (!this.#makeRoom(own.length)) {
      body.fail(busy('Too many large requests wait.'));
      return () => {};
    }
    this.#waiting.set(body.client, own);
    own.push(entry);
    entry.cancel = this.#clock.after(WAIT_MS, () => {
      this.#leave(entry);
      body.fail(busy(`The request is large, and its turn did not come within ${WAIT_MS / 1_000} s.`));
    });
    this.#beginNext();
    return () => this.#leave(entry);
  }

  /** Counts what is kept of a body that was read. @returns what is to be called once nothing of it is kept any more */
  keep(bytes: number): () => void {
    this.#kept += bytes;
    return () => {
      this.#kept -= bytes;
      this.#beginNext();
    };
  }

  /** Where all places are taken, the client that has most of them gives one to a client that has fewer. */
  #makeRoom(own: number): boolean {
    const lists = [...this.#waiting.values()];
    if (lists.reduce((sum, { length }) => sum + length, 0) < MAX_WAITING) return true;
    const most = lists.reduce((a, b) => (b.length > a.length ? b : a));
    const last = most.at(-1);
    if (last === undefined || most.length <= own + 1) return false;
    this.#leave(last);
    last.body.fail(busy('Too many large requests wait, most of them of this client.'));
    return true;
  }

  #beginNext(): void {
    if (this.#holder !== undefined || this.#kept >= MAX_KEPT_BYTES) return;
    const [next] = this.#waiting;
    if (next === undefined) return;
    const [client, [entry, ...others]] = next;
    this.#waiting.delete(client);
    if (others.length > 0) this.#waiting.set(client, others);
    entry.cancel();
    this.#holder = entry;
    this.#watch(entry, this.#clock.now(), entry.body.received(), 0);
    entry.body.begin();
  }

  /**
   * @param begun when its turn began
   * @param before bytes that had come when the pace was last found enough, so many looks ago
   */
  #watch(entry: Entry, begun: number, before: number, looks: number): void {
    entry.cancel = this.#clock.after(LOOK_MS, () => {
      const received = entry.body.received();
      const paced = received - before >= LEAST_BYTES;
      if (!paced && looks + 1 >= LOOKS)
        this.#end(entry, `less than ${LEAST_BYTES} bytes of it came in ${(LOOKS * LOOK_MS) / 1_000} s`);
      else if (this.#waiting.size > 0 && this.#clock.now() - begun >= MAX_TURN_MS)
        this.#end(entry, `it took longer than ${MAX_TURN_MS / 1_000} s while others waited`);
      else if (paced) this.#watch(entry, begun, received, 0);
      else this.#watch(entry, begun, before, looks + 1);
    });
  }

  #end(entry: Entry, why: string): void {
    this.#leave(entry);
    entry.body.fail(new ApiError(408, `The request came too slowly: ${why}.`, 'request_too_slow'));
  }

  #leave(entry: Entry): void {
    entry.cancel();
    if (this.#holder === entry) {
      this.#holder = undefined;
      this.#beginNext();
      return;
    }
    const { client } = entry.body;
    const rest = this.#waiting.get(client)?.filter((one) => one !== entry);
    if (rest === undefined) return;
    if (rest.length > 0) this.#waiting.set(client, rest);
    else this.#waiting.delete(client);
  }
}

function busy(message: string): ApiError {
  return new ApiError(503, message, 'server_busy');
}
