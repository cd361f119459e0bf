import { MAX_STREAMS } from '../protocol/index.js';
import { ApiError } from './api-error.js';

/**
 * Answers under way at a time. All clients share one session on the agent, which refuses more than MAX_STREAMS whoever asks;
 * the rest is for requests that are no answers.
 */
const MOST_ANSWERS = MAX_STREAMS - 64;

interface Holder {
  held: number;
  readonly inside: Map<string, Holder>;
}

const nobody = (): Holder => ({ held: 0, inside: new Map() });

/**
 * Answers that each client has under way, by the names of its share. One may have at most as many as it leaves to others, at
 * each level: however many ask, there is room for one who has none (dynamic thresholds, Choudhury and Hahne 1998).
 */
export class InFlight {
  readonly #all = nobody();

  /**
   * Counts answers until what is returned is called; calling it again does nothing.
   * @throws ApiError 429 where the client has too many under way
   */
  enter(share: readonly string[], answers: number): () => void {
    let most = MOST_ANSWERS;
    let around = this.#all;
    for (const name of share) {
      const holder = around.inside.get(name) ?? nobody();
      most = Math.floor((most - (around.held - holder.held)) / 2);
      if (holder.held + answers > most)
        throw new ApiError(
          429,
          `${holder.held} answers are under way for ${name}, at most ${Math.max(0, most)} may be now, and ${answers} were asked for.`,
          'too_many_under_way',
        );
      around = holder;
    }
    this.#count(share, answers);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#count(share, -answers);
    };
  }

  #count(share: readonly string[], answers: number): void {
    let around = this.#all;
    around.held += answers;
    for (const name of share) {
      const holder = around.inside.get(name) ?? nobody();
      holder.held += answers;
      if (holder.held > 0) around.inside.set(name, holder);
      else around.inside.delete(name);
      around = holder;
    }
  }
}
