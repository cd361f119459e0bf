import type { Pausable } from '../../constraint/index.js';
import {
  Engine,
  type EngineGeneration,
  type EngineOptions,
  type GenerateRequest,
  type Model,
  type ServiceOptions,
} from '../../llm/index.js';
import { errorToWire, type GenerateEvent, type SamplingOptions } from '../../protocol/index.js';

/** The generations of one model by the ids that their clients chose: the engine's results as events. */
export class RunningGenerations {
  /** Computes them, and scores and prompts to be pinned. */
  readonly engine: Engine;
  readonly #findModel: (digest: string) => Model;
  readonly #onEvent: (generation: string, event: GenerateEvent) => void;
  readonly #generations = new Map<string, EngineGeneration>();

  /** By generation: the draft model that it uses. */
  readonly #drafting = new Map<string, string>();

  /** Steps so far. */
  steps = 0;

  constructor(
    model: Model,
    options: EngineOptions,
    findModel: (digest: string) => Model,
    onEvent: (generation: string, event: GenerateEvent) => void,
  ) {
    this.engine = new Engine(model, options);
    this.#findModel = findModel;
    this.#onEvent = onEvent;
  }

  /** Whether one of them drafts with this model. */
  draftsWith(digest: string): boolean {
    return [...this.#drafting.values()].includes(digest);
  }

  /**
   * Queues a generation, which waits for `grant`, once it has taken in the tokens to go on after.
   * @param service asked when it is queued
   * @throws PynqLlmError LLM_... where the engine refuses it
   */
  *start(
    id: string,
    tokens: Pick<GenerateRequest, 'prompt' | 'continueFrom'>,
    options: SamplingOptions,
    service: () => ServiceOptions,
  ): Pausable<void> {
    const {
      maxTokens,
      stop,
      modelStop,
      ignoreEos,
      promptLookup,
      responseFormat,
      draftModel,
      beams,
      repeatPenalty,
      repeatLastN,
      logitBias,
      topLogprobs,
      ...sampling
    } = options;
    const request: GenerateRequest = {
      ...tokens,
      maxTokens,
      stop,
      modelStop,
      ignoreEos,
      promptLookup,
      responseFormat,
      beams,
      credit: 0,
      sampling: {
        ...sampling,
        repeatPenalty,
        repeatLastN,
        logitBias: logitBias?.map(({ token, bias }) => [token, bias]),
        topLogprobs,
      },
    };
    const prepared = yield* this.engine.prepare(request);
    const generation = this.engine.submit(
      // Looked up after the pauses: it may be unloaded meanwhile.
      { ...request, draftModel: draftModel === undefined ? undefined : this.#findModel(draftModel) },
      {
        onToken: ({ index, id: token, text, logprob, top: likeliest }) =>
          this.#onEvent(id, {
            type: 'token',
            index,
            id: token,
            text,
            logprob,
            ...(likeliest.length === 0 ? {} : { top: likeliest.map((one) => [one.id, one.logprob]) }),
          }),
        onDone: ({ cost, beams: found, ...result }) =>
          this.#end(id, {
            type: 'done',
            ...result,
            ...(found && { beams: found.map((beam) => ({ ...beam, tokens: [...beam.tokens] })) }),
            counters: { ...cost },
          }),
        onError: (error) => this.#end(id, { type: 'failed', error: errorToWire(error, 'AGENT_INTERNAL') }),
      },
      service(),
      prepared,
    );
    this.#generations.set(id, generation);
    if (draftModel !== undefined) this.#drafting.set(id, draftModel);
  }

  find(id: string): EngineGeneration | undefined {
    return this.#generations.get(id);
  }

  /** @param steps who computes one: the engine itself unless given */
  step(steps: { step(): void } = this.engine): void {
    this.steps++;
    steps.step();
  }

  /** Ends every generation before it returns. Prompts to be pinned and scores were cancelled before. */
  cancelAll(): void {
    for (const generation of this.#generations.values()) generation.cancel();
    while (this.engine.count > 0) this.engine.step();
  }

  #end(id: string, event: GenerateEvent): void {
    this.#generations.delete(id);
    this.#drafting.delete(id);
    this.#onEvent(id, event);
  }
}
