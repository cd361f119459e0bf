import { setTimeout as delay } from 'node:timers/promises';
import type { DoneEvent, PromptProgress } from '../sdk/index.js';
import type { Choice } from './choices.js';

/** How often the agent is asked. */
const EVERY_MS = 500;

/** What llama.cpp's server says of a prompt, in its fields; the time is that since the prompt's first word of progress. */
export interface ProgressReport {
  readonly total: number;
  readonly cache: number;
  /** Those of the cache among them. */
  readonly processed: number;
  readonly time_ms: number;
}

/** Reports of the prompts of a stream's answers until their first tokens come, whoever wants them. */
export class ProgressReports {
  readonly #send: (index: number, report: ProgressReport) => Promise<void>;
  readonly #last = new Map<number, { readonly progress: PromptProgress; readonly since: number }>();
  readonly #begun = new Set<number>();
  readonly #ended = new AbortController();
  /** One report after the other. */
  #sending = Promise.resolve();

  constructor(send: (index: number, report: ProgressReport) => Promise<void>) {
    this.#send = send;
  }

  /** Asks and reports, once. */
  async ask(choices: readonly Choice[]): Promise<void> {
    const waiting = choices.filter(({ index }) => !this.#begun.has(index));
    await Promise.all(
      waiting.map(async ({ index, generation }) => {
        // Where the agent cannot say, the answer itself tells what is wrong.
        const progress = await generation.progress().catch(() => undefined);
        if (progress !== undefined && !this.#begun.has(index)) await this.#report(index, progress);
      }),
    );
  }

  /** Asks again and again until each answer has begun, or the reports are ended. */
  async follow(choices: readonly Choice[], everyMs = EVERY_MS): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted && this.#begun.size < choices.length) {
      await delay(everyMs, undefined, { signal }).catch(() => undefined);
      await this.ask(choices);
    }
  }

  /** A piece of an answer has come: its prompt is computed. One that ended before the agent was asked says so itself. */
  async begin({ index, generation }: Choice, done: DoneEvent | undefined): Promise<void> {
    const isFirst = !this.#begun.has(index);
    this.#begun.add(index);
    if (!isFirst && done === undefined) return;
    const total = done?.timing.promptTokens ?? 0;
    const ofDone = done && { total, cached: done.timing.cachedTokens ?? 0, computed: total };
    // What was cached is known for certain once it has been used.
    const now = ofDone ?? (await generation.progress().catch(() => undefined));
    const known = now ?? this.#last.get(index)?.progress;
    if (known !== undefined) await this.#report(index, { ...known, computed: known.total });
  }

  end(): void {
    this.#ended.abort();
  }

  #report(index: number, progress: PromptProgress): Promise<void> {
    const now = performance.now();
    const { progress: before, since = now } = this.#last.get(index) ?? {};
    if (before !== undefined && progress.computed <= before.computed) return Promise.resolve();
    this.#last.set(index, { progress, since });
    const { total, cached, computed } = progress;
    const time_ms = Math.round(now - since);
    this.#sending = this.#sending.then(() =>
      this.#send(index, { total, cache: cached, processed: computed, time_ms }),
    );
    return this.#sending;
  }
}
