import { request as httpRequest, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import OpenAI, { APIError, APIUserAbortError } from 'openai';
import type { LoadClient, Outcome, Reading } from './answer.js';
import type { PlannedRequest, Transport } from './workload.js';

/** The models of a load test by their names on the board: two of the same weights, and the one that drafts. */
export const MODELS = { plain: 'load-plain.gguf', chat: 'load-chat.gguf', draft: 'load-draft.gguf' } as const;

const PIECE_MS = 20;

/** A client of the OpenAI API: the official library, but for its sockets, which only Node lets us destroy. */
export class OpenAiClient implements LoadClient {
  readonly #openai: OpenAI;
  readonly #url: string;
  readonly #transport: Transport;
  readonly #user: string;

  constructor(url: string, transport: Transport, user: string) {
    this.#url = `${url}/v1`;
    this.#openai = new OpenAI({ baseURL: this.#url, apiKey: 'none', maxRetries: 0 });
    this.#transport = transport;
    this.#user = user;
  }

  async perform(request: PlannedRequest, reading: Reading): Promise<Outcome> {
    const abort = new AbortController();
    try {
      if (request.behaviour === 'vanish') return await this.#vanish(request);
      return await this.#ask(request, reading, abort);
    } catch (error) {
      if (error instanceof APIUserAbortError && abort.signal.aborted) return { kind: 'cancelled' };
      if (error instanceof APIError && error.code)
        return outcomeOf(error.status, error.headers?.get('retry-after'), error.error as WireError);
      throw error;
    }
  }

  #ask(request: PlannedRequest, reading: Reading, abort: AbortController): Promise<Outcome> {
    switch (this.#transport) {
      case 'completion-stream':
      case 'chat-stream':
        return this.#readStream(request, reading, abort);
      default:
        return this.#readWhole(request, reading, abort);
    }
  }

  async #readWhole(request: PlannedRequest, reading: Reading, abort: AbortController): Promise<Outcome> {
    const body = this.#bodyOf(request);
    const { signal } = abort;
    const timer = request.behaviour === 'abort' && setTimeout(() => abort.abort(), request.after * PIECE_MS);
    try {
      const n = request.answers;
      const choices =
        this.#transport === 'chat'
          ? (await this.#openai.chat.completions.create({ ...toChat(body), n }, { signal })).choices
          : (await this.#openai.completions.create({ ...body, n }, { signal })).choices;
      const texts = choices.map((choice) =>
        'message' in choice ? (choice.message.content ?? '') : choice.text,
      );
      if (texts.length !== n || texts.some((text) => text !== texts[0]))
        throw new Error(`${n} greedy answers to one prompt differ: ${JSON.stringify(texts)}`);
      reading.text += texts[0];
      return { kind: 'done' };
    } finally {
      if (timer) clearTimeout(timer);
    }
  }

  async #readStream(request: PlannedRequest, reading: Reading, abort: AbortController): Promise<Outcome> {
    const body = { ...this.#bodyOf(request), stream: true } as const;
    const options = { signal: abort.signal };
    const stream =
      this.#transport === 'chat-stream'
        ? await this.#openai.chat.completions.create(toChat(body), options)
        : await this.#openai.completions.create(body, options);
    let finish: string | null = null;
    for await (const { choices } of stream) {
      const [choice] = choices;
      const text = 'delta' in choice ? (choice.delta.content ?? '') : choice.text;
      if (text !== '') reading.take(text);
      finish = choice.finish_reason ?? finish;
      if (request.behaviour === 'slow') await delay(request.pauseMs);
      if (request.behaviour === 'abort' && reading.pieces >= request.after) {
        abort.abort();
        // What of the answer is here already could be read on; now and then Node.js's fetch then never tells its end.
        return { kind: 'cancelled' };
      }
    }
    if (finish === null) throw new Error('the stream ended without a reason');
    return { kind: 'done' };
  }

  /** Reads a stream, and destroys the socket. */
  async #vanish(request: PlannedRequest): Promise<Outcome> {
    const isChat = this.#transport.startsWith('chat');
    const body = { ...this.#bodyOf(request), stream: true };
    const url = `${this.#url}/${isChat ? 'chat/completions' : 'completions'}`;
    const headers = { 'content-type': 'application/json', authorization: 'Bearer none' };
    const sent = httpRequest(url, { method: 'POST', headers, agent: false });
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      sent.on('response', resolve).on('error', reject);
      sent.end(JSON.stringify(isChat ? toChat(body) : body));
    });
    const { statusCode: status = 0, headers: answered } = response;
    let received = '';
    for await (const data of response) {
      received += String(data);
      if (status === 200 && received.split('data: ').length > request.after) break;
    }
    sent.destroy();
    return status === 200
      ? { kind: 'cancelled' }
      : outcomeOf(status, answered['retry-after'], JSON.parse(received).error);
  }

  #bodyOf({ task, service, speculation }: PlannedRequest) {
    const { prompt, maxTokens, temperature, seed } = task;
    return {
      model: this.#transport.startsWith('chat') ? MODELS.chat : MODELS.plain,
      prompt,
      max_tokens: maxTokens,
      temperature,
      seed,
      user: this.#user,
      service_tier: service === 'batch' ? ('flex' as const) : ('default' as const),
      ...(speculation === 'lookup' ? { prompt_lookup: true } : {}),
      ...(speculation === 'draft' ? { draft_model: MODELS.draft } : {}),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function toChat<T extends { readonly prompt: string }>({ prompt, ...rest }: T) {
  return { ...rest, messages: [{ role: 'user' as const, content: prompt }] };
}

interface WireError {
  readonly code: string;
  readonly partial_text?: string;
}

/** @throws Error where an agent that is busy does not say when to ask again */
function outcomeOf(
  status: number | undefined,
  retryAfter: string | null | undefined,
  error: WireError,
): Outcome {
  const { code, partial_text: partial } = error;
  if (status !== 429) return { kind: 'failed', code, partial };
  if (!(Number(retryAfter) > 0)) throw new Error(`${code} came with 429 and without Retry-After`);
  return { kind: 'refused', code, retryAfterMs: Number(retryAfter) * 1_000 };
}
