import type { Pausable } from '../../constraint/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { MAX_TEXT_LENGTH, type Result } from '../../protocol/index.js';
import type { QueuedMethod } from '../worker-link/methods.js';

/** A long text that keeps steps, cancels and the watchdog waiting. */
const SLICE_MS = 25;
/** Long texts again and again: while there are steps to compute, these have three quarters of the time. */
const STEPS_TO_TEXTS = 3;

/** Texts that wait in the worker's memory: of one share, whatever names divide it, ... */
const MAX_TEXTS_OF_SHARE = 128;
const MAX_LENGTH_OF_SHARE = 4 * MAX_TEXT_LENGTH;
/** ... and of all. */
const MAX_TEXTS = 4 * MAX_TEXTS_OF_SHARE;
const MAX_LENGTH = 4 * MAX_LENGTH_OF_SHARE;
const RETRY_AFTER_MS = 1_000;

/** Work on a text for a call. */
export interface Text {
  readonly call: number;
  readonly session: number;
  /** Who takes turns with others, as the scheduler has it. */
  readonly client: readonly string[];
  /** The model's digest. */
  readonly model: string;
  /**
   * What it is for, where that can be cancelled; of a generation, how far it may go once its prompt is tokens, and how many
   * tokens it goes on after.
   */
  readonly generation?: { readonly id: string; credit: number; readonly replayedTokens: number } | undefined;
  readonly pin?: string | undefined;
  /** UTF-16 units, or tokens. */
  readonly length: number;
  /** Milliseconds from now after which nobody wants it. */
  readonly deadlineMs?: number | undefined;
  /** Ends with the answer, or with undefined where the answer comes from elsewhere. */
  readonly work: Pausable<Result<QueuedMethod> | undefined>;
}

interface Waiting extends Text {
  readonly lateAt: number;
}

type OnAnswer = (
  call: number,
  outcome: { readonly result: Result<QueuedMethod> } | { readonly error: unknown },
) => void;

/**
 * Texts on their way to tokens and back: worked on in slices, in turn for each client, between which the worker computes
 * steps and takes messages.
 */
export class TextQueue {
  readonly #onAnswer: OnAnswer;
  readonly #now: () => number;
  /** In the order of arrival. */
  #texts: Waiting[] = [];
  /** By each beginning of a client's names: the slice that it had last. */
  readonly #turns = new Map<string, number>();
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
    const all = this.#texts;
    const own = all.filter(({ client }) => client[0] === text.client[0]);
    const isTooMuch =
      all.length >= MAX_TEXTS ||
      own.length >= MAX_TEXTS_OF_SHARE ||
      lengthOf(all) + text.length > MAX_LENGTH ||
      lengthOf(own) + text.length > MAX_LENGTH_OF_SHARE;
    if (isTooMuch)
      throw new PynqLlmError(
        'LLM_OVERLOADED',
        `${all.length} other texts wait to become tokens, ${own.length} of them of this client's share.`,
        { context: { retryAfterMs: RETRY_AFTER_MS } },
      );
    const lateAt = text.deadlineMs === undefined ? Number.POSITIVE_INFINITY : this.#now() + text.deadlineMs;
    // A name that is new goes behind those who wait, or new names would always go first.
    for (const name of beginningsOf(text.client))
      if (!this.#turns.has(name)) this.#turns.set(name, this.slices);
    all.push({ ...text, lateAt });
  }

  /** The first text that is as asked. */
  find(isAsked: (text: Text) => boolean): Text | undefined {
    return this.#texts.find(isAsked);
  }

  /**
   * Whether the next slice is due.
   * @param hasSteps whether there are steps to compute instead
   */
  isDue(hasSteps: boolean): boolean {
    return this.#texts.length > 0 && (!hasSteps || this.#owed <= 0);
  }

  /**
   * Works on the text whose turn it is, and on the next one where it has to wait, for `SLICE_MS` at most.
   * @returns whether there is more to do at once
   */
  slice(): boolean {
    const start = this.#now();
    this.slices++;
    let isOn = false;
    for (const text of this.#inTurn()) {
      for (const name of beginningsOf(text.client)) this.#turns.set(name, this.slices);
      const state = this.#advance(text, start);
      if (state === 'over') this.#remove([text]);
      isOn = state !== 'waits' || this.#now() - start >= SLICE_MS;
      if (isOn) break;
    }
    const isOver = this.#texts.length === 0;
    this.#owed = isOver ? 0 : this.#owed + STEPS_TO_TEXTS * (this.#now() - start);
    return isOn;
  }

  /** The engines computed a step. */
  sawStep(ms: number): void {
    this.#owed = Math.max(0, this.#owed) - ms;
  }

  /** Ends texts before their time. @returns those */
  end(isAsked: (text: Text) => boolean): Text[] {
    const ended = this.#texts.filter(isAsked);
    this.#remove(ended);
    for (const text of ended) text.work.return(undefined);
    return ended;
  }

  /** With their last text the turns of names are forgotten, which may be as many as there are texts. */
  #remove(gone: readonly Text[]): void {
    this.#texts = this.#texts.filter((text) => !gone.includes(text));
    const left = new Set(this.#texts.flatMap(({ client }) => beginningsOf(client)));
    for (const name of gone.flatMap(({ client }) => beginningsOf(client)))
      if (!left.has(name)) this.#turns.delete(name);
  }

  /** The first text of each client: whose share had no slice for the longest time goes first, and within it so on. */
  #inTurn(): Waiting[] {
    const firsts = new Map<string, { readonly text: Waiting; readonly turns: readonly number[] }>();
    for (const text of this.#texts) {
      const names = beginningsOf(text.client);
      const key = names.at(-1) ?? '';
      if (!firsts.has(key)) firsts.set(key, { text, turns: names.map((name) => this.#turns.get(name) ?? 0) });
    }
    return [...firsts.values()].sort((a, b) => compareTurns(a.turns, b.turns)).map(({ text }) => text);
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

/** Of a client's names the first, the first two and so on, each as one key. */
function beginningsOf(client: readonly string[]): string[] {
  return client.map((_, i) => client.slice(0, i + 1).join('\u0000'));
}

function compareTurns(a: readonly number[], b: readonly number[]): number {
  const first = a.findIndex((turn, i) => turn !== b[i]);
  return first < 0 ? 0 : a[first] - (b[first] ?? 0);
}

function lengthOf(texts: readonly Text[]): number {
  return texts.reduce((sum, { length }) => sum + length, 0);
}
