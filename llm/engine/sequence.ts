import { PynqLlmError } from '../../errors/index.js';
import type { KvCache } from '../kv/cache.js';
import { NO_PROSPECT, type Prospect } from '../kv/prospect.js';
import type { SpillFolder } from '../kv/spill-folder.js';
import type { Column } from '../model/column.js';
import { newCost } from '../model/cost.js';
import type { StepFaults } from '../model/forward-again.js';
import type { Model } from '../model/model.js';
import { MAX_DRAFT } from '../speculation/draft-length.js';
import type { Drafter } from '../speculation/drafter.js';
import { LookupDrafter } from '../speculation/lookup-drafter.js';
import { checkDraftModel, ModelDrafter } from '../speculation/model-drafter.js';
import { type GenerationState, replayed } from './generation-state.js';
import type {
  EngineSequence,
  FinishReason,
  GenerateRequest,
  GenerationResult,
  TokenOutput,
} from './request.js';
import { requestTiming } from './request-timing.js';

/** One request's way through the engine: what of it is computed, sampled and said. */
export class Sequence implements EngineSequence {
  readonly cost = newCost();
  readonly width = 1;
  /** Tokens numbered below may be generated. */
  credit: number;
  readonly #model: Model;
  readonly #request: GenerateRequest;
  readonly #state: GenerationState;
  /** Tokens that it was handed. */
  readonly replayedTokens: number;
  readonly #submittedAt: number;
  #startedAt: number | undefined;
  #firstTokenAt: number | undefined;
  #lastTokenAt: number | undefined;
  #cache: KvCache | undefined;
  /** Logits of the step's columns: of the last token that is certain, and after it of each drafted one. */
  readonly #logits: Float32Array[] = [];
  readonly #drafter: Drafter | undefined;
  /** Drafted tokens that are in the step, after the last known one. */
  #draft: readonly number[] = [];
  /** Tokens in the cache that are certain. */
  #certain = 0;
  #cachedTokens = 0;

  /**
   * @param faults where steps of a draft model are counted in which the device fails
   * @param state of the request after the tokens that it goes on after, its own from now on
   * @throws PynqLlmError LLM_PROMPT_EMPTY, LLM_PROMPT_TOO_LONG, LLM_TOKEN_RANGE, LLM_REQUEST_INVALID, LLM_CONTINUE_*,
   *   LLM_SAMPLING_PARAMETER, LLM_DRAFT_MODEL, LLM_KV_TOO_LONG, LLM_KV_MEMORY, LLM_SCHEMA_*
   */
  constructor(
    model: Model,
    request: GenerateRequest,
    now: number,
    faults: StepFaults,
    state = replayed(model, request),
  ) {
    this.#model = model;
    this.#request = request;
    this.#state = state;
    this.replayedTokens = state.generated;
    this.#drafter = this.#newDrafter(faults);
    for (const token of state.known) this.#drafter?.push(token);
    this.credit = request.credit ?? Number.POSITIVE_INFINITY;
    this.#submittedAt = now;
  }

  /** Tokens that the model has to see before the next one can be sampled: 1 where each step gives a token. */
  get left(): number {
    return Math.max(0, this.#state.known.length - (this.#cache?.length ?? 0));
  }

  /** Whether it waits for a further token: its prompt, and what it generated, is computed. */
  get generates(): boolean {
    return this.generated > 0 && this.left <= 1;
  }

  get goesOn(): boolean {
    return this.left > 0;
  }

  get prospect(): Prospect {
    if (this.generates) return NO_PROSPECT;
    return (this.#cache ?? this.#model.kvPool).prospect(this.#state.known);
  }

  /** Drafted tokens that would be worth a column each in the next step. */
  get drafts(): number {
    return this.#worthDrafting(MAX_DRAFT);
  }

  /** The text of its tokens so far. */
  get said(): string {
    return this.#state.said;
  }

  get promptTokens(): number {
    return this.#request.prompt.length;
  }

  /** The last one is not fed, so that it needs no place. */
  get mostTokens(): number {
    return Math.max(
      0,
      Math.min(this.#state.maxTokens - this.generated, this.#mostKept + 1 - this.#state.known.length),
    );
  }

  get mayEnd(): boolean {
    return !this.#request.ignoreEos || this.#request.responseFormat !== undefined;
  }

  /** Tokens of the prompt, and of those that it was handed, whose keys and values were there already. */
  get cachedTokens(): number {
    return this.#cachedTokens;
  }

  /** Tokens generated so far. */
  get generated(): number {
    return this.#state.generated;
  }

  get startedAt(): number | undefined {
    return this.#startedAt;
  }

  /** Tokens that fit into the pages that it holds, and pages that would be free without it. */
  get memory(): { readonly room: number; readonly pages: number } {
    return this.#cache?.memory ?? { room: 0, pages: 0 };
  }

  /** Whether the client has room for one more token: without it nothing is computed for the sequence. */
  get hasCredit(): boolean {
    return this.generated < this.credit;
  }

  /**
   * The next columns, at most `most` of them; that of the last known token, and each later one, wants logits.
   * @throws PynqLlmError LLM_KV_FULL, LLM_KV_MEMORY
   */
  columns(most: number, now: number, isUnderWay = false): Column[] {
    this.#startedAt ??= now;
    this.#cache ??= this.#model.newCache();
    const cache = this.#cache;
    cache.restore();
    if (!this.generates && !isUnderWay) this.#adopt(cache);
    const from = cache.length;
    const known = this.#state.known;
    const tokens = known.slice(from, cache.reserve(Math.min(from + most, known.length)));
    this.#certain = from + tokens.length;
    this.#draft = this.#propose(cache, most - 1);
    const last = known.length - 1;
    return [...tokens, ...this.#draft].map((token, i) => {
      const position = from + i;
      return position < last
        ? { cache, token, position }
        : { cache, token, position, logits: this.#logitsOf(position - last) };
    });
  }

  #adopt(cache: KvCache): void {
    const before = cache.length;
    cache.adopt(this.#state.known);
    // Later ones are its own, which it gave up for others.
    if (this.generated > this.replayedTokens) return;
    const given = this.promptTokens + this.replayedTokens;
    this.#cachedTokens = Math.min(given, this.#cachedTokens + cache.length - before);
  }

  /** Tokens that its cache can hold. */
  get #mostKept(): number {
    return this.#cache?.mostTokens ?? this.#model.contextLength;
  }

  #worthDrafting(most: number): number {
    if (this.#drafter === undefined || !this.generates) return 0;
    const room = Math.min(
      most,
      this.credit - this.generated - 1,
      this.#state.maxTokens - this.generated - 1,
      this.#mostKept - this.#state.known.length,
    );
    return this.#drafter.worth(room, (columns) => this.#model.coreCycles(columns));
  }

  #propose(cache: KvCache, most: number): readonly number[] {
    const worth = this.#worthDrafting(most);
    if (this.#drafter === undefined || worth === 0) return [];
    const known = this.#state.known.length;
    return this.#drafter.propose(cache.reserve(known + worth) - known);
  }

  #newDrafter(faults: StepFaults): Drafter | undefined {
    const { promptLookup, draftModel } = this.#request;
    if (draftModel === undefined)
      return promptLookup ? new LookupDrafter(this.#model.config.vocabSize) : undefined;
    if (promptLookup)
      throw new PynqLlmError('LLM_REQUEST_INVALID', 'Both promptLookup and a draft model were asked for.');
    checkDraftModel(this.#model, draftModel);
    return new ModelDrafter(draftModel, this.cost, faults);
  }

  #logitsOf(column: number): Float32Array {
    this.#logits[column] ??= new Float32Array(this.#model.config.vocabSize);
    return this.#logits[column];
  }

  /** Gives back the memory until its next columns: what was there goes to `spill`, or is computed again. */
  makeRoom(spill: SpillFolder | undefined): void {
    if (spill === undefined) this.#cache?.release();
    else this.#cache?.spill(spill);
    this.#drafter?.release();
  }

  /** Gives back the memory of a sequence that has ended. */
  releaseCache(): void {
    this.#cache?.release();
    this.#cache = undefined;
    this.#drafter?.release();
  }

  /**
   * Samples after a step that computed logits: one token, and one more for every drafted token that was the one sampled.
   * Every token is drawn from the logits that a plain step would have computed, with the same random number.
   * @throws PynqLlmError LLM_NOT_FINITE, LLM_SAMPLING_NO_CANDIDATE
   */
  *samples(now: number): Generator<{ token: TokenOutput; finish?: FinishReason }, void, void> {
    for (let i = 0; ; i++) {
      const sampled = this.#sample(this.#logits[i], now);
      yield sampled;
      if (sampled.token.id !== this.#draft[i] || sampled.finish !== undefined) return;
      this.#certain++;
    }
  }

  /** Drafted tokens that were not sampled are forgotten. */
  settle(computed?: number): void {
    if (computed === undefined) this.#cache?.truncate(this.#certain);
    this.#cache?.settle(computed);
  }

  #sample(logits: Float32Array, now: number): { token: TokenOutput; finish?: FinishReason } {
    const { id, logprob, top } = this.#state.sample(logits);
    this.#firstTokenAt ??= now;
    this.#lastTokenAt = now;
    this.#drafter?.push(id);
    const { index, text, finish } = this.#state.take(id, this.#mostKept);
    const token = { index, id, text, logprob, top };
    if (finish === undefined) return { token };
    // The last token brings what was held back, so that the texts of the tokens are the whole text.
    return { token: { ...token, text: text + this.#state.heldText() }, finish };
  }

  /** The end: what was held back, and the bill. */
  finish(reason: FinishReason, now: number): GenerationResult {
    const rest = this.#state.heldText();
    const moments = {
      submittedAt: this.#submittedAt,
      startedAt: this.#startedAt,
      firstTokenAt: this.#firstTokenAt,
      lastTokenAt: this.#lastTokenAt,
    };
    return {
      reason,
      text: rest,
      tokens: this.generated,
      timing: requestTiming(moments, now, {
        promptTokens: this.promptTokens,
        cachedTokens: Math.min(this.promptTokens, this.#cachedTokens),
        replayedTokens: this.replayedTokens,
        generatedTokens: this.generated,
      }),
      cost: this.cost,
    };
  }
}
