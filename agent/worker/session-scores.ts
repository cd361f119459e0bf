import { PynqLlmError } from '../../errors/index.js';
import type { EnginePrefill, PrefillSink, Scores } from '../../llm/index.js';
import type { OnProgress, Result } from '../../protocol/index.js';

/** What the request that scores is told, by the number of its call. */
export interface ScoreEvents {
  onAnswer(call: number, outcome: { readonly result: Result<'score'> } | { readonly error: unknown }): void;
  onProgress(call: number, ...amounts: Parameters<OnProgress>): void;
}

/** Whose scores, and of which model. */
export interface ScoreOwner {
  readonly session: number;
  /** The model's digest. */
  readonly model: string;
  /** The request that waits for them. */
  readonly call: number;
}

interface SessionScore extends ScoreOwner {
  readonly scoring: EnginePrefill;
}

/** Scores that are being computed, each for a request of a session. */
export class SessionScores {
  readonly #events: ScoreEvents;
  readonly #scores = new Map<number, SessionScore>();

  constructor(events: ScoreEvents) {
    this.#events = events;
  }

  /** @param start has the engine compute them @throws as `start` does */
  start(owner: ScoreOwner, start: (sink: PrefillSink<Scores>) => EnginePrefill): void {
    const { call } = owner;
    let hasEnded = false;
    const end = (outcome: { readonly result: Result<'score'> } | { readonly error: unknown }) => {
      hasEnded = true;
      this.#scores.delete(call);
      this.#events.onAnswer(call, outcome);
    };
    const scoring = start({
      onDone: ({ logprobs, top }) =>
        end({
          result: {
            logprobs: [...logprobs],
            top: top.map((tokens) => tokens.map(({ id, logprob }) => [id, logprob])),
          },
        }),
      onCancelled: () => end({ error: new PynqLlmError('AGENT_CLOSING', 'Nobody waits for the scores.') }),
      onError: (error) => end({ error }),
    });
    if (!hasEnded) this.#scores.set(call, { ...owner, scoring });
  }

  /** Tells the requests about a model how far they are, after a step of its engine. */
  tellProgress(model: string): void {
    for (const { model: own, call, scoring } of this.#scores.values())
      if (own === model) this.#events.onProgress(call, scoring.done, scoring.total, 'tokens');
  }

  /** Nobody waits for it any more. */
  cancel(call: number): void {
    this.#scores.get(call)?.scoring.cancel();
  }

  endSession(session: number): void {
    for (const { session: own, scoring } of this.#scores.values()) if (own === session) scoring.cancel();
  }

  /** What is being computed ends with the engine's next step. */
  endModel(model: string): void {
    for (const { model: own, call, scoring } of [...this.#scores.values()]) {
      if (own !== model) continue;
      this.#scores.delete(call);
      const error = new PynqLlmError('AGENT_MODEL_NOT_LOADED', 'The model was unloaded while it scored.');
      this.#events.onAnswer(call, { error });
      scoring.cancel();
    }
  }
}
