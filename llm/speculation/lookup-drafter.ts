import { Acceptance } from './acceptance.js';
import { draftLength, MAX_DRAFT } from './draft-length.js';
import type { Drafter } from './drafter.js';
import { type Draft, NO_DRAFT, PromptLookup } from './prompt-lookup.js';

/** Drafts from the sequence's own past. Learns from the prompt too how well it repeats itself, and from what it did not draft. */
export class LookupDrafter implements Drafter {
  readonly #lookup: PromptLookup;
  readonly #acceptance = new Acceptance();
  #draft: Draft = NO_DRAFT;

  constructor(vocabSize: number) {
    this.#lookup = new PromptLookup(vocabSize);
  }

  push(token: number): void {
    const { tokens, matched } = this.#draft;
    if (tokens.length > 0) this.#acceptance.record(matched, token === tokens[0]);
    this.#lookup.push(token);
    this.#draft = this.#lookup.draft(MAX_DRAFT);
  }

  worth(most: number, cycles: (columns: number) => number): number {
    const { tokens, matched } = this.#draft;
    const rate = (number: number) => this.#acceptance.rate(matched + number - 1);
    return draftLength(rate, Math.min(most, tokens.length), cycles);
  }

  propose(length: number): readonly number[] {
    return this.#draft.tokens.slice(0, length);
  }

  release(): void {
    // Its tables are small, and are needed again where the sequence goes on.
  }
}
