import { PAGE_TOKENS } from '../kv/layout.js';
import type { KvPin } from '../kv/pool.js';
import type { Model } from '../model/model.js';
import { checkPrompt } from './check-request.js';
import { PrefillSequence } from './prefill-sequence.js';

/** Computes the complete pages of a prompt, and pins them. */
export class PrefixSequence extends PrefillSequence<KvPin> {
  protected readonly mostColumns = Number.POSITIVE_INFINITY;
  #pin: KvPin | undefined;

  /** @throws PynqLlmError LLM_PROMPT_EMPTY, LLM_PROMPT_TOO_LONG, LLM_TOKEN_RANGE, LLM_KV_PINNED, LLM_KV_MEMORY */
  constructor(model: Model, prompt: readonly number[], now: number) {
    checkPrompt(model, prompt);
    super(model, prompt.slice(0, prompt.length - (prompt.length % PAGE_TOKENS)), now);
    model.kvPool.checkPin(this.tokens);
    this.#pinWhole();
  }

  /** Holds all of the complete pages, once they are there: at once where nothing has to be computed. */
  get result(): KvPin | undefined {
    return this.#pin;
  }

  protected get computedFrom(): number {
    return this.tokens.length - 1;
  }

  protected logitsOf(): undefined {
    return undefined;
  }

  /** @throws PynqLlmError LLM_KV_PINNED where others pinned too much meanwhile */
  protected onComputed(): void {
    if (this.#pin === undefined && this.left === 0) this.#pinWhole();
  }

  #pinWhole(): void {
    const pin = this.model.kvPool.pin(this.tokens);
    if (pin.tokens === this.tokens.length) this.#pin = pin;
    else pin.release();
  }
}
