import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { KvCache } from '../kv/cache.js';
import { NO_PROSPECT, type Prospect } from '../kv/prospect.js';
import type { Column } from '../model/column.js';
import { newCost } from '../model/cost.js';
import type { Model } from '../model/model.js';
import { StopStrings, topLogprobs } from '../sampling/index.js';
import { checkRequest, endTexts, roomOf } from './check-request.js';
import { Hypotheses, type Hypothesis } from './hypotheses.js';
import type {
  BeamOptions,
  BeamResult,
  EngineSequence,
  FinishReason,
  GenerateRequest,
  GenerationResult,
} from './request.js';
import { requestTiming } from './request-timing.js';

const MAX_WIDTH = 8;
const MAX_LENGTH_PENALTY = 10;

/** A continuation that goes on. */
interface Beam {
  /** The prompt and the tokens chosen so far. */
  readonly known: readonly number[];
  readonly logprob: number;
  cache: KvCache | undefined;
}

/**
 * Beam search: the `width` likeliest continuations side by side, a column each, on shared pages of keys and values. In each
 * round every beam is continued by its likeliest tokens and the best of all go on; those that an end token closes are ranked
 * by their log-probability over their length. Nothing is drawn, so sampling parameters have no part in it.
 */
export class BeamSequence implements EngineSequence {
  readonly cost = newCost();
  credit: number;
  /** Its results come all together at the end. */
  readonly generated = 0;
  readonly replayedTokens = 0;
  readonly said = '';
  readonly drafts = 0;
  readonly goesOn = false;
  startedAt: number | undefined;
  cachedTokens = 0;
  readonly #model: Model;
  readonly #request: GenerateRequest;
  readonly #width: number;
  readonly #mostTokens: number;
  readonly #hypotheses: Hypotheses;
  readonly #submittedAt: number;
  #beams: Beam[];
  /** By the beam's place: the logits after its last token. */
  readonly #logits: Float32Array[] = [];
  #firstRoundAt: number | undefined;
  #lastRoundAt: number | undefined;

  /** @throws PynqLlmError as `Sequence`'s */
  constructor(model: Model, request: GenerateRequest, beams: BeamOptions, now: number) {
    const { width, lengthPenalty = 1 } = beams;
    const { prompt } = request;
    checkBeams(request, width, lengthPenalty);
    const maxTokens = checkRequest(model, request, width);
    this.#model = model;
    this.#request = request;
    this.#width = width;
    // The last token is chosen, not fed.
    const longest = Math.min(model.contextLength, Math.max(prompt.length, roomOf(model, prompt, width)));
    this.#mostTokens = Math.min(maxTokens, longest - prompt.length + 1);
    this.#hypotheses = new Hypotheses(width, lengthPenalty);
    this.#beams = [{ known: [...prompt], logprob: 0, cache: undefined }];
    this.credit = request.credit ?? Number.POSITIVE_INFINITY;
    this.#submittedAt = now;
  }

  get promptTokens(): number {
    return this.#request.prompt.length;
  }

  get left(): number {
    return this.#beams.reduce((sum, beam) => sum + leftOf(beam), 0);
  }

  get generates(): boolean {
    return this.#firstRoundAt !== undefined && this.left <= 1;
  }

  get mostTokens(): number {
    return this.#mostTokens - Math.max(0, (this.#beams[0]?.known.length ?? 0) - this.promptTokens);
  }

  get width(): number {
    return this.#width;
  }

  get mayEnd(): boolean {
    return !this.#request.ignoreEos;
  }

  get hasCredit(): boolean {
    return this.credit > 0;
  }

  get prospect(): Prospect {
    if (this.#firstRoundAt !== undefined) return NO_PROSPECT;
    const [{ known, cache }] = this.#beams;
    return (cache ?? this.#model.kvPool).prospect(known);
  }

  get memory(): { readonly room: number; readonly pages: number } {
    return { room: 0, pages: this.#beams.reduce((sum, { cache }) => sum + (cache?.memory.pages ?? 0), 0) };
  }

  columns(most: number, now: number): Column[] {
    this.startedAt ??= now;
    const columns: Column[] = [];
    for (const [place, beam] of this.#beams.entries()) {
      if (columns.length === most) break;
      if (leftOf(beam) === 0) continue;
      try {
        columns.push(...this.#columnsOf(beam, place, most - columns.length));
      } catch (error) {
        // Beams that are computed again take pages of their own until they share those that are complete after the step.
        if (columns.length === 0 || !isPynqLlmError(error, 'LLM_KV_FULL')) throw error;
        break;
      }
    }
    return columns;
  }

  #columnsOf(beam: Beam, place: number, most: number): Column[] {
    beam.cache ??= this.#model.newCache();
    const { cache, known } = beam;
    const before = cache.length;
    cache.adopt(known);
    if (this.#firstRoundAt === undefined) this.cachedTokens += cache.length - before;
    const from = cache.length;
    const end = cache.reserve(Math.min(from + most, known.length));
    this.#logits[place] ??= new Float32Array(this.#model.config.vocabSize);
    return known.slice(from, end).map((token, i) => {
      const position = from + i;
      return position < known.length - 1
        ? { cache, token, position }
        : { cache, token, position, logits: this.#logits[place] };
    });
  }

  /** One round: says only at the end that it has ended. @throws PynqLlmError LLM_NOT_FINITE */
  *samples(now: number): Generator<{ finish: FinishReason }, void, void> {
    this.#firstRoundAt ??= now;
    this.#lastRoundAt = now;
    this.#continue(this.#choose());
    const [best] = this.#hypotheses.best;
    if (this.#beams.length > 0 && !this.#isComplete()) return;
    yield { finish: best.reason };
  }

  /** The beams that go on; those that end go to the hypotheses. */
  #choose(): { readonly parent: Beam; readonly token: number; readonly logprob: number }[] {
    const { eosIds } = this.#model.tokenizer;
    const { ignoreEos = false } = this.#request;
    const ends = ignoreEos ? 0 : eosIds.size;
    const candidates = this.#beams
      .flatMap((parent, place) =>
        topLogprobs(this.#logits[place], this.#width + ends).map(({ id, logprob }) => ({
          parent,
          token: id,
          logprob: parent.logprob + logprob,
        })),
      )
      .sort((a, b) => b.logprob - a.logprob);
    const chosen: typeof candidates = [];
    for (const [rank, candidate] of candidates.entries()) {
      if (chosen.length === this.#width) break;
      if (ignoreEos || !eosIds.has(candidate.token)) chosen.push(candidate);
      else if (rank < this.#width)
        this.#end(candidate.parent, candidate.token, candidate.logprob, 'end-of-text');
    }
    return chosen;
  }

  /** The first child of a beam takes its cache, further ones share its pages. */
  #continue(
    chosen: readonly { readonly parent: Beam; readonly token: number; readonly logprob: number }[],
  ): void {
    const before = this.#beams;
    const length = before[0].known.length + 1 - this.#request.prompt.length;
    const isLast = length >= this.#mostTokens;
    this.#beams = isLast
      ? []
      : chosen.map(({ parent, token, logprob }, i) => {
          const isFirst = chosen.findIndex((other) => other.parent === parent) === i;
          const cache = isFirst ? parent.cache : parent.cache?.fork();
          return { known: [...parent.known, token], logprob, cache };
        });
    if (isLast)
      for (const { parent, token, logprob } of chosen) this.#end(parent, token, logprob, this.#lastReason);
    const kept = new Set(this.#beams.map(({ cache }) => cache));
    for (const { cache } of before) if (!kept.has(cache)) cache?.release();
  }

  get #lastReason(): 'max-tokens' | 'context-full' {
    return this.#request.maxTokens === this.#mostTokens ? 'max-tokens' : 'context-full';
  }

  #isComplete(): boolean {
    const length = this.#beams[0].known.length - this.#request.prompt.length;
    return this.#hypotheses.isComplete(this.#beams[0].logprob, length, this.#mostTokens);
  }

  #end({ known }: Beam, token: number, logprob: number, reason: Hypothesis['reason']): void {
    this.#hypotheses.add([...known.slice(this.#request.prompt.length), token], logprob, reason);
  }

  settle(): void {
    for (const { cache } of this.#beams) cache?.settle();
  }

  makeRoom(): void {
    this.releaseCache();
  }

  releaseCache(): void {
    for (const beam of this.#beams) {
      beam.cache?.release();
      beam.cache = undefined;
    }
  }

  finish(reason: FinishReason, now: number): GenerationResult {
    const beams = reason === 'cancelled' ? [] : this.#hypotheses.best.map((one) => this.#resultOf(one));
    const best = beams.at(0);
    const generatedTokens = best?.tokens.length ?? 0;
    const moments = {
      submittedAt: this.#submittedAt,
      startedAt: this.startedAt,
      firstTokenAt: this.#firstRoundAt,
      lastTokenAt: this.#lastRoundAt,
    };
    return {
      reason,
      text: best?.text ?? '',
      tokens: generatedTokens,
      timing: requestTiming(moments, now, {
        promptTokens: this.promptTokens,
        cachedTokens: this.cachedTokens,
        replayedTokens: 0,
        generatedTokens,
      }),
      cost: this.cost,
      beams,
    };
  }

  #resultOf({ tokens, logprob, score, reason }: Hypothesis): BeamResult {
    const stream = this.#model.tokenizer.stream({ continuation: true });
    const written = tokens.map((token) => stream.push(token)).join('') + stream.flush();
    // The search knows ends by their tokens: what a beam wrote from a text on that is one is only not shown.
    const ends = new StopStrings([], endTexts(this.#model, this.#request));
    const text = ends.push(written).text + ends.flush();
    return { tokens, text, logprob, score, reason };
  }
}

function leftOf({ known, cache }: Beam): number {
  return known.length - (cache?.length ?? 0);
}

/** @throws PynqLlmError LLM_REQUEST_INVALID */
function checkBeams(request: GenerateRequest, width: number, lengthPenalty: number): void {
  const { stop = [], responseFormat, promptLookup, draftModel, continueFrom = [] } = request;
  const problem =
    !Number.isInteger(width) || width < 1 || width > MAX_WIDTH
      ? `${width} beams were asked for; there may be 1 to ${MAX_WIDTH}`
      : !(Math.abs(lengthPenalty) <= MAX_LENGTH_PENALTY)
        ? `the length penalty is ${lengthPenalty}; it may be -${MAX_LENGTH_PENALTY} to ${MAX_LENGTH_PENALTY}`
        : stop.length > 0
          ? 'beam search knows no stop strings'
          : responseFormat !== undefined
            ? 'beam search knows no response format'
            : promptLookup || draftModel !== undefined
              ? 'beam search does not draft'
              : continueFrom.length > 0
                ? 'beam search gives no token before its end that it could go on after: it begins again, with the same result'
                : undefined;
  if (problem !== undefined) throw new PynqLlmError('LLM_REQUEST_INVALID', `${problem}.`);
}
