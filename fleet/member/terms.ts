import { PynqLlmError } from '../../errors/index.js';

/** Which gateway a board works for, of those that led the fleet one after the other: the latest that it has heard of. */
export class Terms {
  #current = 0;
  #over = new AbortController();

  /** Whether a gateway has called. What waits for a board before that may be of one that leads no more. */
  get isLed(): boolean {
    return this.#current > 0;
  }

  /** Aborted once another gateway leads: it goes on with all that the one before had given out. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** A gateway says something. @throws PynqLlmError FLEET_OLD_TERM where another one has taken the lead since */
  hear(term: number): void {
    if (term === this.#current) return;
    if (term < this.#current)
      throw new PynqLlmError(
        'FLEET_OLD_TERM',
        `Gateway ${this.#current} leads the fleet; gateway ${term}, which did before, has nothing to say.`,
        { context: { term, current: this.#current } },
      );
    const before = this.#over;
    this.#current = term;
    this.#over = new AbortController();
    before.abort();
  }
}
