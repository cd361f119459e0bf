import { PynqLlmError } from '../../errors/index.js';
import type { Pausable } from '../../llm/pausable.js';
import { MAX_IN_FLIGHT, MAX_TEXT_LENGTH, type MethodName, type Result } from '../../protocol/index.js';

/** A long text that keeps steps, cancels and the watchdog waiting. */
const SLICE_MS = 25;
/** Long texts again and again: while there are steps to compute, these have three quarters of the time. */
const STEPS_TO_TEXTS = 3;

/** Texts that wait in the worker's memory: of one client, ... */
const MAX_TEXTS_OF_CLIENT = MAX_IN_FLIGHT;
const MAX_LENGTH_OF_CLIENT = 4 * MAX_TEXT_LENGTH;
/** ... and of all. */
const MAX_TEXTS = 4 * MAX_IN_FLIGHT;
const MAX_LENGTH = 16 * MAX_TEXT_LENGTH;
const RETRY_AFTER_MS = 1_000;

/** Calls that are answered from the queue. */
export type TextMethod = Extract<
  MethodName,
  | 'models.tokenize'
  | 'models.detokenize'
  | 'models.pieces'
  | 'models.applyTemplate'
  | 'models.pin'
  | 'generate.start'
>;

/** Work on a text for a call. */
export interface Text {
  readonly call: number;
  readonly session: number;
  /** Who takes turns with others. */
  readonly client: string;
  /** The model's digest. */
  readonly model: string;
  /** What it is for, where that can be cancelled; of a generation, how far it may go once its prompt is tokens. */
  readonly generation?: { readonly id: string; limit: number } | undefined;
  readonly pin?: string | undefined;
  /** UTF-16 units, or tokens. */
  readonly length: number;
  /** Milliseconds from now after which nobody wants it. */
  readonly deadlineMs?: number | undefined;
  /** Ends with the answer, or with undefined where the answer comes from elsewhere. */
  readonly work: Pausable<Result<TextMethod> | undefined>;
}

interface Waiting extends Text {
  readonly lateAt: number;
}

type OnAnswer = (
  call: number,
  outcome: { readonly result: Result<TextMethod> } | { readonly error: unknown },
) => void;

/**
 * Texts on their way to tokens and back: worked on in slices, in turn for each client, between which the worker computes
 * steps and takes messages.
 */
export class TextQueue {
  readonly #onAnswer: OnAnswer;
  readonly #now: () => number;
  /** By client, in the order of their turns, each client's texts in the order of arrival. */
  readonly #clients = new Map<string, Waiting[]>();
  /** Milliseconds that the steps are behind their part. */
  #owed = 0;

  /** Slices so far. */
  slices = 0;

  constructor(onAnswer: OnAnswer, now: () => number = () => performance.now()) {
    this.#onAnswer = onAnswer;
    this.#now = now;
  }

  /** @throws PynqLlmError LLM_OVERLOADED where too many wait */
  add(text: Text): undefined {
    const all = this.#all;
    const own = this.#clients.get(text.client) ?? [];
    const isTooMuch =
      all.length >= MAX_TEXTS ||
      own.length >= MAX_TEXTS_OF_CLIENT ||
      lengthOf(all) + text.length > MAX_LENGTH ||
      lengthOf(own) + text.length > MAX_LENGTH_OF_CLIENT;
    if (isTooMuch)
      throw new PynqLlmError(
        'LLM_OVERLOADED',
        `${all.length} other texts wait to become tokens, ${own.length} of them of this client.`,
        { context: { retryAfterMs: RETRY_AFTER_MS } },
      );
    const lateAt = text.deadlineMs === undefined ? Number.POSITIVE_INFINITY : this.#now() + text.deadlineMs;
    this.#clients.set(text.client, [...own, { ...text, lateAt }]);
  }

  /** The first text that is as asked. */
  find(isAsked: (text: Text) => boolean): Text | undefined {
    return this.#all.find(isAsked);
  }

  /**
   * Whether the next slice is due.
   * @param hasSteps whether there are steps to compute instead
   */
  isDue(hasSteps: boolean): boolean {
    return this.#clients.size > 0 && (!hasSteps || this.#owed <= 0);
  }

  /**
   * Works on the text whose turn it is, and on the next one where it has to wait, for `SLICE_MS` at most.
   * @returns whether there is more to do at once
   */
  slice(): boolean {
    const start = this.#now();
    this.slices++;
    let isOn = false;
    for (let left = this.#clients.size; left > 0 && !isOn; left--) {
      const [[client, [text, ...others]]] = this.#clients;
      this.#clients.delete(client);
      const state = this.#advance(text, start);
      const waiting = state === 'over' ? others : [text, ...others];
      if (waiting.length > 0) this.#clients.set(client, waiting);
      isOn = state !== 'waits' || this.#now() - start >= SLICE_MS;
    }
    this.#owed = this.#clients.size === 0 ? 0 : this.#owed + STEPS_TO_TEXTS * (this.#now() - start);
    return isOn;
  }

  /** The engines computed a step. */
  sawStep(ms: number): void {
    this.#owed = Math.max(0, this.#owed) - ms;
  }

  /** Ends texts before their time. @returns those */
  end(isAsked: (text: Text) => boolean): Text[] {
    const ended = this.#all.filter(isAsked);
    for (const text of ended) {
      const left = this.#clients.get(text.client)?.filter((one) => one !== text) ?? [];
      if (left.length > 0) this.#clients.set(text.client, left);
      else this.#clients.delete(text.client);
      text.work.return(undefined);
    }
    return ended;
  }

  get #all(): Waiting[] {
    return [...this.#clients.values()].flat();
  }

  #advance(text: Waiting, start: number): 'over' | 'goes on' | 'waits' {
    try {
      if (start >= text.lateAt) {
        text.work.return(undefined);
        throw new PynqLlmError('LLM_DEADLINE', `The request was not done within its ${text.deadlineMs} ms.`);
      }
      do {
        const { done, value } = text.work.next();
        if (done) {
          if (value !== undefined) this.#onAnswer(text.call, { result: value });
          return 'over';
        }
        if (value === 'waits') return 'waits';
      } while (this.#now() - start < SLICE_MS);
      return 'goes on';
    } catch (error) {
      this.#onAnswer(text.call, { error });
      return 'over';
    }
  }
}

function lengthOf(texts: readonly Text[]): number {
  return texts.reduce((sum, { length }) => sum + length, 0);
}
