import { PAGE_TOKENS, pageHash } from '../../llm/index.js';

/** The complete pages of a prompt and what was generated after it, by the hashes that engines have them under. */
export class PromptPages {
  readonly #hashes: number[] = [];

  /**
   * Of all tokens but the last, which is always computed.
   * @param prompt the same each time
   * @param generated those of the time before, and more
   */
  of(prompt: readonly number[], generated: readonly number[]): readonly number[] {
    const pages = Math.floor((prompt.length + generated.length - 1) / PAGE_TOKENS);
    for (let page = this.#hashes.length; page < pages; page++) {
      const tokens = Array.from({ length: PAGE_TOKENS }, (_, i) => {
        const at = page * PAGE_TOKENS + i;
        return at < prompt.length ? prompt[at]! : generated[at - prompt.length]!;
      });
      this.#hashes.push(pageHash(this.#hashes.at(-1), tokens));
    }
    return this.#hashes;
  }
}
