import { setTimeout as delay } from 'node:timers/promises';
import {
  type BoardClient,
  connect,
  type GenerateOptions,
  isPynqLlmError,
  type Model,
} from '../../sdk/index.js';
import { type BreakingProxy, breakingProxy } from '../system/support/breaking-proxy.js';
import type { LoadClient, Outcome, Reading } from './answer.js';
import { MODELS } from './openai-client.js';
import type { PlannedRequest, Task } from './workload.js';

/** A slow reader lets so many tokens wait for it: the agent has to hold the rest back. */
const SLOW_WINDOW = 4;

interface Session {
  readonly board: BoardClient;
  readonly model: Model;
  readonly draft: Model;
}

/** Sampling as a task means it; nothing else may differ from what an OpenAI request says. */
export function samplingOf({ maxTokens, temperature, seed }: Task): GenerateOptions {
  return { maxTokens, temperature, seed, topK: 0, topP: 1, minP: 0, repeatPenalty: 1 };
}

/** A client of the SDK over a WebSocket, through a proxy that can break it. */
export class WsClient implements LoadClient {
  readonly #proxy: BreakingProxy;
  readonly #name: string;
  #session: Session | undefined;

  private constructor(proxy: BreakingProxy, name: string) {
    this.#proxy = proxy;
    this.#name = name;
  }

  static async open(agentUrl: string, name: string): Promise<WsClient> {
    return new WsClient(await breakingProxy(agentUrl), name);
  }

  async perform(request: PlannedRequest, reading: Reading): Promise<Outcome> {
    try {
      return await this.#ask(request, reading);
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      const { retryAfterMs, text } = error.context;
      if (error.code === 'LLM_OVERLOADED') {
        if (typeof retryAfterMs !== 'number') throw new Error('LLM_OVERLOADED came without retryAfterMs');
        return { kind: 'refused', code: error.code, retryAfterMs };
      }
      return { kind: 'failed', code: error.code, partial: typeof text === 'string' ? text : undefined };
    }
  }

  async #ask(request: PlannedRequest, reading: Reading): Promise<Outcome> {
    const { behaviour, after, speculation, service } = request;
    this.#session ??= await this.#connect();
    const { model, draft } = this.#session;
    const generation = model.generate(request.task.prompt, {
      ...samplingOf(request.task),
      class: service,
      client: this.#name,
      promptLookup: speculation === 'lookup',
      ...(speculation === 'draft' ? { draftModel: draft } : {}),
      ...(behaviour === 'slow' ? { window: SLOW_WINDOW } : {}),
    });
    for await (const { text } of generation) {
      reading.take(text);
      if (behaviour === 'slow') await delay(request.pauseMs);
      if (reading.pieces !== after) continue;
      if (behaviour === 'abort') await generation.cancel();
      if (behaviour === 'break') this.#proxy.breakNow();
      if (behaviour === 'vanish') {
        await this.#vanish();
        return { kind: 'cancelled' };
      }
    }
    const done = await generation.done;
    reading.text += done.text;
    return { kind: done.reason === 'cancelled' ? 'cancelled' : 'done' };
  }

  async #connect(): Promise<Session> {
    const board = await connect(this.#proxy.url, { client: this.#name });
    try {
      const [model, draft] = [await board.models.load(MODELS.plain), await board.models.load(MODELS.draft)];
      return { board, model, draft };
    } catch (error) {
      await board.close();
      throw error;
    }
  }

  /** The agent does not hear of it: its connection is just gone. */
  async #vanish(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    this.#proxy.breakNow();
    await session?.board.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.board.close();
    await this.#proxy[Symbol.asyncDispose]();
  }
}
