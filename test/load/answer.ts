import type { PlannedRequest, Transport } from './workload.js';

/** How a request ended. Whatever is none of these is thrown. */
export type Outcome =
  | { readonly kind: 'done' }
  /** By the client, which went away or said so. */
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'failed'; readonly code: string; readonly partial?: string | undefined }
  /** Too much to do; the agent said when to ask again. */
  | { readonly kind: 'refused'; readonly code: string; readonly retryAfterMs: number };

/** What a client has read, and when. */
export class Reading {
  text = '';
  readonly #startedAt = performance.now();
  readonly #pieces: number[] = [];
  #endedAt: number | undefined;

  /** A token, or a piece of text, has come. */
  take(text: string): void {
    this.text += text;
    this.#pieces.push(performance.now());
  }

  end(): void {
    this.#endedAt ??= performance.now();
  }

  get pieces(): number {
    return this.#pieces.length;
  }

  /** Milliseconds to the first piece, between pieces, and of all of it. */
  get times(): { readonly first: number | undefined; readonly between: number[]; readonly whole: number } {
    const pieces = this.#pieces;
    return {
      first: pieces.length === 0 ? undefined : pieces[0] - this.#startedAt,
      between: pieces.slice(1).map((at, i) => at - pieces[i]),
      whole: (this.#endedAt ?? performance.now()) - this.#startedAt,
    };
  }
}

/** A request that ended as it may. */
export interface Answered {
  readonly transport: Transport;
  readonly request: PlannedRequest;
  readonly reading: Reading;
  readonly outcome: Outcome;
}

/** One of the many. */
export interface LoadClient extends AsyncDisposable {
  /**
   * Asks, behaves as planned, and says how it ended.
   * @throws whatever is no answer: an error without a code, a stream that just ends
   */
  perform(request: PlannedRequest, reading: Reading): Promise<Outcome>;
}

/** Why an answer is wrong; undefined if it is right. What came before a cancel or an error has to be right as far as it goes. */
export function mistakeOf({ request, reading, outcome }: Answered): string | undefined {
  const { text } = request.task;
  if (outcome.kind === 'done')
    return reading.text === text ? undefined : `the text is ${show(reading.text)}, not ${show(text)}`;
  if (!text.startsWith(reading.text)) return `${show(reading.text)} does not begin ${show(text)}`;
  const partial = outcome.kind === 'failed' ? outcome.partial : undefined;
  if (partial === undefined || text.startsWith(partial)) return undefined;
  return `the partial text ${show(partial)} does not begin ${show(text)}`;
}

function show(text: string): string {
  return JSON.stringify(text);
}
