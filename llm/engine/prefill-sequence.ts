import type { KvCache } from '../kv/cache.js';
import type { Prospect } from '../kv/prospect.js';
import type { SpillFolder } from '../kv/spill-folder.js';
import type { Column } from '../model/column.js';
import { newCost } from '../model/cost.js';
import type { Model } from '../model/model.js';
import type { EngineSequence, FinishReason, GenerationResult } from './request.js';
import { requestTiming } from './request-timing.js';

/** Takes given tokens through the model as a prompt is taken. No token is generated; what comes of it is for its heirs to say. */
export abstract class PrefillSequence<T> implements EngineSequence {
  readonly cost = newCost();
  credit = 0;
  readonly generates = false;
  readonly drafts = 0;
  readonly goesOn = false;
  readonly generated = 0;
  readonly replayedTokens = 0;
  readonly cachedTokens = 0;
  readonly mostTokens = 0;
  readonly width = 0;
  readonly mayEnd = false;
  readonly said = '';
  readonly hasCredit = true;
  startedAt: number | undefined;
  protected cache: KvCache | undefined;
  readonly #submittedAt: number;

  protected constructor(
    protected readonly model: Model,
    protected readonly tokens: readonly number[],
    now: number,
  ) {
    this.#submittedAt = now;
  }

  /** What came of the tokens, once all are computed. */
  abstract readonly result: T | undefined;
  /** Logits that are wanted after the token of this position, the `index`th of its step. */
  protected abstract logitsOf(position: number, index: number): Float32Array | undefined;
  /** The most columns of a step, and the position from which on tokens have to be computed though the pool has their pages. */
  protected abstract readonly mostColumns: number;
  protected abstract readonly computedFrom: number;
  /** What the cache holds is computed: the results of the last step may be taken. Called before the next one. */
  protected abstract onComputed(): void;

  get promptTokens(): number {
    return this.tokens.length;
  }

  get left(): number {
    return this.tokens.length - (this.cache?.length ?? 0);
  }

  get prospect(): Prospect {
    return (this.cache ?? this.model.kvPool).prospect(this.tokens.slice(0, this.computedFrom + 1));
  }

  get memory(): { readonly room: number; readonly pages: number } {
    return this.cache?.memory ?? { room: 0, pages: 0 };
  }

  columns(most: number, now: number): Column[] {
    this.startedAt ??= now;
    this.cache ??= this.model.newCache();
    const { cache } = this;
    cache.restore();
    this.onComputed();
    cache.adopt(this.tokens.slice(0, this.computedFrom + 1));
    const from = cache.length;
    const wanted = from + Math.min(most, this.mostColumns);
    const tokens = this.tokens.slice(from, cache.reserve(Math.min(wanted, this.tokens.length)));
    return tokens.map((token, index) => {
      const position = from + index;
      const logits = this.logitsOf(position, index);
      return { cache, token, position, ...(logits && { logits }) };
    });
  }

  *samples(): Generator<{ finish: FinishReason }, void, void> {
    this.settle();
    this.onComputed();
    yield { finish: 'max-tokens' };
  }

  settle(): void {
    this.cache?.settle();
  }

  makeRoom(spill: SpillFolder | undefined): void {
    if (spill === undefined) this.cache?.release();
    else this.cache?.spill(spill);
  }

  releaseCache(): void {
    this.cache?.release();
    this.cache = undefined;
  }

  finish(reason: FinishReason, now: number): GenerationResult {
    const moments = { submittedAt: this.#submittedAt, startedAt: this.startedAt };
    return {
      reason,
      text: '',
      tokens: 0,
      timing: requestTiming(moments, now, {
        promptTokens: this.promptTokens,
        cachedTokens: 0,
        replayedTokens: 0,
        generatedTokens: 0,
      }),
      cost: this.cost,
    };
  }
}
