import { type Constraint, type Pausable, runToEnd } from '../../constraint/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { Model } from '../model/model.js';
import { type SampledToken, Sampler, StopStrings } from '../sampling/index.js';
import type { DetokenizerStream } from '../tokenizer/index.js';
import { checkRequest, endTexts, roomOf } from './check-request.js';
import type { FinishReason, GenerateRequest } from './request.js';

/** What a token adds to a generation. */
interface Taken {
  readonly index: number;
  readonly text: string;
  readonly finish: FinishReason | undefined;
}

/**
 * What of a generation follows from its prompt and its tokens alone, whoever computed them: what the next one is chosen by
 * (random numbers, penalties, constraint), and what is not said yet (half a character, the beginning of a stop string).
 */
export class GenerationState {
  /** The prompt and every token so far: what a cache holds the beginning of, and can be computed again from. */
  readonly known: number[];
  /** Tokens that the generation may have in all. */
  readonly maxTokens: number;
  /** Tokens so far. */
  generated = 0;
  /** The text of all tokens so far. */
  said = '';
  readonly #model: Model;
  readonly #constraint: Constraint | undefined;
  readonly #sampler: Sampler;
  readonly #stops: StopStrings;
  readonly #text: DetokenizerStream;
  readonly #ignoresEnd: boolean;

  /**
   * Before the first token.
   * @throws PynqLlmError LLM_PROMPT_EMPTY, LLM_PROMPT_TOO_LONG, LLM_TOKEN_RANGE, LLM_REQUEST_INVALID, LLM_SAMPLING_PARAMETER,
   *   LLM_KV_TOO_LONG, LLM_KV_MEMORY, LLM_SCHEMA_*
   */
  constructor(model: Model, request: GenerateRequest) {
    const { prompt, responseFormat, ignoreEos = false } = request;
    this.maxTokens = checkRequest(model, request);
    this.#model = model;
    this.known = [...prompt];
    this.#constraint = responseFormat && model.constraints.create(responseFormat);
    this.#sampler = new Sampler(request.sampling ?? {}, model.config.vocabSize, this.#constraint);
    this.#sampler.observe(prompt);
    this.#stops = new StopStrings(request.stop ?? [], endTexts(model, request));
    this.#text = model.tokenizer.stream({ continuation: true });
    this.#ignoresEnd = ignoreEos && this.#constraint === undefined;
  }

  /** Chooses the next token, which `take` adds. @throws PynqLlmError LLM_NOT_FINITE, LLM_SAMPLING_NO_CANDIDATE, LLM_SCHEMA_* */
  sample(logits: Float32Array): SampledToken {
    return this.#sampler.sample(logits);
  }

  /**
   * Goes on after a token that was chosen elsewhere, as if it had been here.
   * @throws PynqLlmError LLM_CONTINUE_FORBIDDEN
   */
  replay(id: number, mostKept: number): Taken {
    if (!this.#sampler.replay(id))
      throw new PynqLlmError(
        'LLM_CONTINUE_FORBIDDEN',
        `Token ${this.generated} of those to go on after is ${id}, which the request's response format or logit bias rules out there.`,
        { context: { index: this.generated, token: id } },
      );
    return this.take(id, mostKept);
  }

  /**
   * Adds a token that was chosen.
   * @param mostKept tokens, prompt included, that there is room for keys and values of
   */
  take(id: number, mostKept: number): Taken {
    this.known.push(id);
    const index = this.generated++;
    const { text, stop, isEnd = false } = this.#stops.push(this.#text.push(id));
    this.said += text;
    return { index, text, finish: this.#finishAfter(id, stop, isEnd, mostKept) };
  }

  /** What was held back in case it began a stop string or a character; nothing the second time. */
  heldText(): string {
    return this.#stops.push(this.#text.flush()).text + this.#stops.flush();
  }

  #finishAfter(
    id: number,
    stop: string | undefined,
    isEnd: boolean,
    mostKept: number,
  ): FinishReason | undefined {
    if (stop !== undefined) return isEnd ? 'end-of-text' : 'stop';
    if (!this.#ignoresEnd && this.#model.tokenizer.eosIds.has(id)) return 'end-of-text';
    if (this.#constraint?.isFinished) return 'end-of-text';
    if (this.generated >= this.maxTokens) return 'max-tokens';
    // The last token is not fed.
    return this.known.length > mostKept ? 'context-full' : undefined;
  }
}

/**
 * The state of a generation after the tokens that its request goes on after. Pauses after each of them: a stop string or a
 * schema may be made so that a token takes long.
 * @throws PynqLlmError LLM_CONTINUE_ENDED, LLM_CONTINUE_FORBIDDEN, and as `GenerationState`
 */
export function* replay(model: Model, request: GenerateRequest): Pausable<GenerationState> {
  const { prompt, continueFrom = [] } = request;
  const state = new GenerationState(model, request);
  const mostKept = Math.min(model.contextLength, roomOf(model, prompt, 1));
  for (const id of continueFrom) {
    const { finish } = state.replay(id, mostKept);
    if (finish !== undefined) throw ended(finish, state.generated, continueFrom.length);
    yield;
  }
  return state;
}

/** The same without pauses. */
export function replayed(model: Model, request: GenerateRequest): GenerationState {
  return runToEnd(replay(model, request));
}

function ended(reason: FinishReason, tokens: number, given: number): PynqLlmError {
  return new PynqLlmError(
    'LLM_CONTINUE_ENDED',
    `The generation ended (${reason}) with its token ${tokens - 1}; it was to go on after ${given} tokens.`,
    { context: { reason, tokens, given } },
  );
}
