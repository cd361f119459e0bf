import type { EngineSequence } from './request.js';

/** A generation under way. */
export interface EngineGeneration {
  /** Tokens numbered below `credit` may be generated: back-pressure. Less credit than before changes nothing. */
  grant(credit: number): void;
  /**
   * How far its prompt is, and the tokens that it goes on after, in tokens: those that were there already are among the
   * computed ones.
   */
  readonly prompt: { readonly total: number; readonly cached: number; readonly computed: number };
  /** Ends it before the next step, with the reason `cancelled`. Harmless when it has ended. */
  cancel(): void;
}

export function generationOf(sequence: EngineSequence, cancel: () => void): EngineGeneration {
  return {
    get prompt() {
      const { promptTokens, replayedTokens, cachedTokens, left, generated, startedAt } = sequence;
      const total = promptTokens + replayedTokens;
      // What will be found is there already.
      const found = startedAt === undefined ? sequence.prospect.found : 0;
      const computed = generated > replayedTokens ? total : Math.max(0, total - left) + found;
      return { total, cached: cachedTokens + found, computed };
    },
    grant: (credit) => {
      sequence.credit = Math.max(sequence.credit, credit);
    },
    cancel,
  };
}
