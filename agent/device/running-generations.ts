import type { PynqLlmError } from '../../errors/index.js';
import { Engine, type EngineGeneration } from '../../llm/engine.js';
import type { Model } from '../../llm/model.js';
import type { GenerateEvent, SamplingOptions } from '../../protocol/index.js';

/** The generations of one model: the engine's, in the words of the protocol. */
export class RunningGenerations {
  readonly #engine: Engine;
  readonly #onEvent: (generation: string, event: GenerateEvent) => void;
  readonly #running = new Map<string, EngineGeneration>();

  constructor(model: Model, onEvent: (generation: string, event: GenerateEvent) => void) {
    this.#engine = new Engine(model);
    this.#onEvent = onEvent;
  }

  get count(): number {
    return this.#engine.count;
  }

  get hasWork(): boolean {
    return this.#engine.hasWork;
  }

  /** Queues a generation; it yields nothing before it is granted tokens. @throws PynqLlmError LLM_... */
  start(id: string, tokens: readonly number[], options: SamplingOptions): void {
    const { maxTokens, stop, top = 0, repetitionPenalty, repetitionWindow, logitBias, ...sampling } = options;
    const request = {
      prompt: tokens,
      maxTokens,
      stop,
      limit: 0,
      sampling: {
        ...sampling,
        repeatPenalty: repetitionPenalty,
        repeatLastN: repetitionWindow,
        logitBias: logitBias?.map(({ token, bias }) => [token, bias] as const),
        topLogProbs: top,
      },
    };
    const end = (event: GenerateEvent) => {
      this.#running.delete(id);
      this.#onEvent(id, event);
    };
    const generation = this.#engine.submit(request, {
      onToken: ({ logProb, top: likeliest, ...token }) =>
        this.#onEvent(id, {
          type: 'token',
          ...token,
          logprob: logProb,
          ...(top === 0 ? {} : { top: likeliest.map((one): [number, number] => [one.id, one.logProb]) }),
        }),
      onDone: ({ cost, ...result }) => end({ type: 'done', ...result, counters: { ...cost } }),
      onError: (error: PynqLlmError) => end({ type: 'failed', error: error.toWire() }),
    });
    this.#running.set(id, generation);
  }

  step(): void {
    this.#engine.step();
  }

  /** Tokens numbered below `limit` may be generated. */
  grant(id: string, limit: number): void {
    this.#running.get(id)?.grant(limit);
  }

  cancel(id: string): void {
    this.#running.get(id)?.cancel();
  }

  cancelAll(): void {
    for (const generation of this.#running.values()) generation.cancel();
    this.#engine.step();
  }
}
