import { type DoneEvent, MAX_TOKEN_WINDOW, type TokenEvent } from '../protocol/index.js';

/** Two sources say different things of one generation: one of them, or its memory, is at fault. */
export interface Difference {
  /** Number of the token; of an end, how many tokens it comes after. */
  readonly index: number;
  /** What differs, of the token or of the end. */
  readonly field: 'id' | 'logprob' | 'text' | 'top' | 'tokens' | 'reason';
  /** Who said it first, and what was handed on, or will be; nobody where the client had the token itself. */
  readonly first: { readonly source: string | undefined; readonly value: unknown };
  readonly second: { readonly source: string; readonly value: unknown };
}

/** What came of a token or an end. */
export interface Taken {
  /** Tokens whose turn it is now, in order: each number comes once. */
  readonly fresh: readonly TokenEvent[];
  /** The end, when its last token was handed on: again where it is said again. */
  readonly end?: DoneEvent | undefined;
  /** What it says otherwise than another source did; it is left out. */
  readonly difference?: Difference | undefined;
  /** It is further ahead than a source may be, and left out: its source does not keep to credit. */
  readonly isBeyond?: true;
}

const NOTHING: Taken = { fresh: [] };

interface Said<T> {
  readonly event: T;
  readonly source: string;
}

/**
 * Reads one generation from whoever computes it, at the same time or one after the other: tokens come in any order, not at
 * all, or several times. Each is handed on once, in the order of their numbers, and what comes twice is compared. Equal
 * requests have equal bits on every board, so that this finds silent errors for nothing.
 *
 * Memory: the ids of all tokens; of `window` tokens before and after the next one all that was said, so that older ones
 * are compared by their ids alone.
 */
export class TokenReader {
  readonly #ids: number[];
  readonly #window: number;
  /** By their numbers: those that came early, and the latest of those that were handed on. */
  readonly #said = new Map<number, Said<TokenEvent>>();
  #end: Said<DoneEvent> | undefined;

  /**
   * @param given ids of tokens that the client had before
   * @param window tokens that may be ahead of the next one
   */
  constructor(given: readonly number[] = [], window = MAX_TOKEN_WINDOW) {
    this.#ids = [...given];
    this.#window = window;
  }

  /** Number of the next token to be handed on. */
  get next(): number {
    return this.#ids.length;
  }

  /** Ids of all tokens up to there: what another board goes on after. */
  get ids(): readonly number[] {
    return this.#ids;
  }

  /** The end, where it was handed on. */
  get end(): DoneEvent | undefined {
    return this.isOver ? this.#end?.event : undefined;
  }

  /** The tokens that were handed on last, at most `count` of them. */
  latest(count: number): TokenEvent[] {
    const tokens: TokenEvent[] = [];
    for (let index = this.next - 1; tokens.length < count; index--) {
      const said = this.#said.get(index);
      if (said === undefined) break;
      tokens.unshift(said.event);
    }
    return tokens;
  }

  /** Whether the end was handed on. Beam search has no tokens before it. */
  get isOver(): boolean {
    const end = this.#end?.event;
    return end !== undefined && (end.beams !== undefined || end.tokens === this.next);
  }

  /** Takes a token from a source. */
  take(event: TokenEvent, source: string): Taken {
    const { index } = event;
    const before = this.#said.get(index);
    if (before !== undefined) return found(differenceOf(before, { event, source }));
    if (index < this.next) return found(differenceOfId(this.#ids[index], event, source));
    const end = this.#end;
    if (end !== undefined && index >= end.event.tokens)
      return found(differ(index, 'tokens', end, end.event.tokens, { source, value: index + 1 }));
    if (index >= this.next + this.#window) return { fresh: [], isBeyond: true };
    this.#said.set(index, { event, source });
    return this.#handOn();
  }

  /**
   * Takes an end from a source. The end of a generation that was cancelled comes after as many tokens as happened to be
   * there: it is the client's own doing, and compared with nothing.
   */
  takeEnd(event: DoneEvent, source: string): Taken {
    const end = this.#end;
    if (event.reason === 'cancelled') return NOTHING;
    if (end !== undefined) {
      const difference = differenceOfEnd(end, { event, source });
      // Whoever said the first one told too few of its tokens: it is not to keep others from ending it.
      if (difference !== undefined && !this.isOver && event.tokens === this.next)
        this.#end = { event, source };
      return { ...found(difference), end: this.end };
    }
    const last = Math.max(this.next, ...[...this.#said.keys()].map((index) => index + 1));
    if (event.tokens < last) {
      const who = this.#said.get(last - 1)?.source;
      const second = { source, value: event.tokens };
      return found({ index: event.tokens, field: 'tokens', first: { source: who, value: last }, second });
    }
    this.#end = { event, source };
    return this.#handOn();
  }

  #handOn(): Taken {
    const fresh: TokenEvent[] = [];
    for (let said = this.#said.get(this.next); said !== undefined; said = this.#said.get(this.next)) {
      this.#said.delete(this.next - this.#window);
      this.#ids.push(said.event.id);
      fresh.push(said.event);
    }
    return { fresh, end: this.isOver ? this.#end?.event : undefined };
  }
}

function found(difference: Difference | undefined): Taken {
  return difference === undefined ? NOTHING : { fresh: [], difference };
}

function differ(
  index: number,
  field: Difference['field'],
  { source }: Said<unknown>,
  value: unknown,
  second: Difference['second'],
): Difference {
  return { index, field, first: { source, value }, second };
}

function differenceOf(first: Said<TokenEvent>, second: Said<TokenEvent>): Difference | undefined {
  const [a, b] = [first.event, second.event];
  const isSame = { id: a.id === b.id, logprob: Object.is(a.logprob, b.logprob), text: a.text === b.text };
  for (const field of ['id', 'logprob', 'text'] as const)
    if (!isSame[field])
      return differ(a.index, field, first, a[field], { source: second.source, value: b[field] });
  if (isSameTop(a.top, b.top)) return undefined;
  return differ(a.index, 'top', first, a.top, { source: second.source, value: b.top });
}

function isSameTop(a: TokenEvent['top'] = [], b: TokenEvent['top'] = []): boolean {
  return (
    a.length === b.length && a.every(([id, logprob], i) => id === b[i][0] && Object.is(logprob, b[i][1]))
  );
}

function differenceOfId(
  id: number,
  { index, id: other }: TokenEvent,
  source: string,
): Difference | undefined {
  if (id === other) return undefined;
  return {
    index,
    field: 'id',
    first: { source: undefined, value: id },
    second: { source, value: other },
  };
}

function differenceOfEnd(first: Said<DoneEvent>, second: Said<DoneEvent>): Difference | undefined {
  const [a, b] = [first.event, second.event];
  for (const field of ['tokens', 'reason', 'text'] as const)
    if (a[field] !== b[field])
      return differ(a.tokens, field, first, a[field], { source: second.source, value: b[field] });
  return undefined;
}
