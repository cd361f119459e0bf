import { checkPrompt } from './check-request.js';
import type { Column } from './column.js';
import { newCost } from './cost.js';
import type { KvCache } from './kv/cache.js';
import { PAGE_TOKENS } from './kv/layout.js';
import type { KvPin } from './kv/pool.js';
import type { SpillFolder } from './kv/spill-folder.js';
import type { Model } from './model.js';
import type { EngineSequence, FinishReason, GenerationResult } from './request.js';

/** Computes the complete pages of a prompt, as any prompt is computed, and pins them. No token is generated. */
export class PrefixSequence implements EngineSequence {
  readonly cost = newCost();
  limit = 0;
  readonly generates = false;
  readonly drafts = 0;
  readonly generated = 0;
  readonly said = '';
  readonly mayGenerate = true;
  startedAt: number | undefined;
  readonly #model: Model;
  /** What the complete pages have. */
  readonly #tokens: readonly number[];
  readonly #submittedAt: number;
  #cache: KvCache | undefined;
  #pin: KvPin | undefined;

  /** @throws PynqLlmError LLM_PROMPT_EMPTY, LLM_PROMPT_TOO_LONG, LLM_TOKEN_RANGE, LLM_KV_PINNED, LLM_KV_MEMORY */
  constructor(model: Model, prompt: readonly number[], now: number) {
    checkPrompt(model, prompt);
    this.#model = model;
    this.#tokens = prompt.slice(0, prompt.length - (prompt.length % PAGE_TOKENS));
    this.#submittedAt = now;
    model.kvPool.checkPin(this.#tokens);
    this.#pinWhole();
  }

  /** Holds all of the complete pages, once they are there: at once where nothing has to be computed. */
  get pin(): KvPin | undefined {
    return this.#pin;
  }

  get promptTokens(): number {
    return this.#tokens.length;
  }

  get left(): number {
    return this.#tokens.length - (this.#cache?.length ?? 0);
  }

  get memory(): { readonly room: number; readonly pages: number } {
    return this.#cache?.memory ?? { room: 0, pages: 0 };
  }

  columns(most: number, now: number): Column[] {
    this.startedAt ??= now;
    this.#cache ??= this.#model.newCache();
    const cache = this.#cache;
    cache.restore();
    cache.adopt(this.#tokens);
    const from = cache.length;
    const tokens = this.#tokens.slice(from, cache.reserve(Math.min(from + most, this.#tokens.length)));
    return tokens.map((token, i) => ({ cache, token, position: from + i }));
  }

  /** The last page is computed. @throws PynqLlmError LLM_KV_PINNED where others pinned too much meanwhile */
  *samples(): Generator<{ finish: FinishReason }, void, void> {
    this.#cache?.settle();
    this.#pinWhole();
    yield { finish: 'max-tokens' };
  }

  makeRoom(spill: SpillFolder | undefined): void {
    if (spill === undefined) this.#cache?.release();
    else this.#cache?.spill(spill);
  }

  releaseCache(): void {
    this.#cache?.release();
    this.#cache = undefined;
  }

  finish(reason: FinishReason, now: number): GenerationResult {
    const startedAt = this.startedAt ?? now;
    return {
      reason,
      text: '',
      tokens: 0,
      timing: {
        queuedMs: startedAt - this.#submittedAt,
        prefillMs: now - startedAt,
        decodeMs: 0,
        promptTokens: this.#tokens.length,
        generatedTokens: 0,
      },
      cost: this.cost,
    };
  }

  #pinWhole(): void {
    const pin = this.#model.kvPool.pin(this.#tokens);
    if (pin.tokens === this.#tokens.length) this.#pin = pin;
    else pin.release();
  }
}
