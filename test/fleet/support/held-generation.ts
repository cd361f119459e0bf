import { randomBytes } from 'node:crypto';
import { deferred } from '../../../bus/deferred.js';
import type { DoneEvent, GenerateEvent, SamplingOptions, TokenEvent } from '../../../protocol/index.js';
import { errorFromWire } from '../../../protocol/index.js';
import { BoardClient } from '../../../sdk/board-client.js';
import { Connection, type OpenedStream } from '../../../sdk/connection.js';
import type { OpenTransport } from '../../../sdk/transports/transport.js';

/** More than any of these generations has: it is held by its credit. */
const WINDOW = 64;
/** What is not answered by then never will be. */
const ANSWER_MS = 120_000;

/** What a generation gave: its tokens as they came, and what of its end does not depend on clocks. */
export interface Given {
  readonly tokens: readonly TokenEvent[];
  readonly end: Pick<DoneEvent, 'reason' | 'text' | 'tokens' | 'beams'>;
}

/** A client with what it speaks over. */
export interface Line extends AsyncDisposable {
  readonly connection: Connection;
  readonly board: BoardClient;
}

export async function openLine(open: OpenTransport): Promise<Line> {
  const options = { client: 'test', token: undefined, timeoutMs: ANSWER_MS, reconnectMs: 0 };
  const connection = await Connection.open(open, options);
  const board = new BoardClient(connection, await connection.request('board.info', {}));
  return { connection, board, [Symbol.asyncDispose]: () => board.close() };
}

/** A generation of the wire whose client decides how far it may go. */
export class HeldGeneration {
  /** Those that came so far, in their order. */
  readonly tokens: TokenEvent[] = [];
  readonly #end = deferred<DoneEvent>();
  readonly #waiting = new Set<() => void>();
  #stream: OpenedStream<'generate.start'> | undefined;
  #replayed = 0;

  private constructor() {
    this.#end.promise
      .catch(() => {})
      .finally(() => {
        this.#stream?.release(true);
        this.#look();
      });
  }

  /** Asks for it; nothing may be generated yet. */
  static async start(
    connection: Connection,
    model: string,
    prompt: readonly number[],
    sampling: SamplingOptions,
  ): Promise<HeldGeneration> {
    const one = new HeldGeneration();
    const generation = randomBytes(16).toString('hex');
    const stream = await connection.openStream(
      'generate.start',
      { generation, model, prompt: { tokens: [...prompt] }, sampling, window: WINDOW },
      { onEvent: (event) => one.#take(event), onLost: one.#end.reject },
      { timeoutMs: ANSWER_MS },
    );
    one.#stream = stream;
    stream.result.catch(one.#end.reject);
    return one;
  }

  /** Lets it generate the tokens numbered below `credit`. */
  grant(credit: number): void {
    this.#stream?.grant(credit);
  }

  /** Resolves when so many tokens have come. @throws Error where it fails before; what it ended with is told by `rest` */
  async arrived(count: number): Promise<void> {
    const there = new Promise<void>((resolve) => {
      const look = () => {
        if (this.tokens.length < count) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
    await Promise.race([there, this.#end.promise]);
  }

  /** Tokens that whoever ended it was handed and went on after, once it has ended. */
  get replayed(): number {
    return this.#replayed;
  }

  /** Lets it go on to its end. @throws PynqLlmError with which it failed */
  async rest(): Promise<Given> {
    this.grant(WINDOW);
    const { reason, text, tokens, beams, timing } = await this.#end.promise;
    this.#replayed = timing.replayedTokens ?? 0;
    return { tokens: this.tokens, end: { reason, text, tokens, beams } };
  }

  #take(event: GenerateEvent): void {
    if (event.type === 'done') this.#end.resolve(event);
    else if (event.type === 'failed') this.#end.reject(errorFromWire(event.error));
    else {
      this.tokens.push(event);
      this.#look();
    }
  }

  #look(): void {
    for (const look of [...this.#waiting]) look();
  }
}
