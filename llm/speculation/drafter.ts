/** Guesses how a sequence goes on, and learns from how it did. */
export interface Drafter {
  /** The sequence's next token: of the prompt, or sampled. */
  push(token: number): void;
  /**
   * How many tokens it would draft: as many as are worth a column each.
   * @param most what the step, the sequence and the context have room for
   * @param cycles what a step of the model costs by its columns
   */
  worth(most: number, cycles: (columns: number) => number): number;
  /** So many tokens that may come next. @throws PynqLlmError what a draft model's step throws */
  propose(length: number): readonly number[];
  /** Gives back memory: the sequence has ended, or will begin anew. */
  release(): void;
}
