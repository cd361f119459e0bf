import { z } from 'zod';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import {
  type Conversation,
  DEFAULT_TOKEN_WINDOW,
  type DoneEvent,
  errorFromWire,
  type GenerateEvent,
  type PromptProgress,
  type SamplingOptions,
  type ServiceOptions,
  schemaText,
  systemClock,
  type TokenEvent,
  type WirePrompt,
} from '../protocol/index.js';
import { listOf, requireArguments } from './arguments.js';
import { isBroken } from './broken.js';
import type { Connection, OpenedStream } from './connection.js';
import { toWireConversation } from './conversation.js';
import { EventQueue } from './event-queue.js';
import { GenerationSpan } from './generation-span.js';
import { randomId } from './random-id.js';
import { toWireService } from './service.js';

/** One generated token. */
export type Token = Omit<TokenEvent, 'type'>;

/** What to continue: text, a conversation for the model's chat template, or token ids. */
export type Prompt =
  | string
  | {
      /** A text, of at most a million UTF-16 units. */
      readonly text: string;
      /** Whether special tokens written in the text are taken as such; no unless told. */
      readonly parseSpecial?: boolean;
    }
  | Conversation
  | {
      /** Token ids as `tokenize` gives them; nothing is added. */
      readonly tokens: readonly number[];
    };

/** What form a generation's text has to have, see docs/structured-output.md. */
export type ResponseFormat =
  /** Any JSON object. */
  | { readonly type: 'json-object' }
  /** JSON that satisfies a JSON schema, given as an object or as its text. */
  | {
      readonly type: 'json-schema';
      /** The schema. */
      readonly schema: object | boolean | string;
    };

/** How a continuation is generated, on the wire. */
export interface GenerationOptions extends Omit<SamplingOptions, 'responseFormat'>, ServiceOptions {
  /** Without one the text is free. */
  readonly responseFormat?: ResponseFormat | undefined;
  /**
   * Ids of the tokens that this request was given so far, from the first one: it goes on with the next, to the bit as if it
   * had never been interrupted. Prompt, model and all other options have to be those that it began with; `maxTokens` counts
   * these tokens. Only new tokens come, and their `index` goes on: the first is number `continueFrom.length`. None unless given.
   */
  readonly continueFrom?: readonly number[] | undefined;
  /** Aborting it cancels the generation; the loop and `done` then reject with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Tokens that may be on the way or unread, 1 to 256; the agent stops generating when they are not read. 32 unless given. */
  readonly window?: number | undefined;
  /**
   * Milliseconds without a token, while the agent may send one, and without a step of its engine, after which the
   * generation is given up; 10 minutes. Steps for a long prompt, or for others while this one waits, count as progress.
   */
  readonly stallMs?: number | undefined;
}

type Opened = OpenedStream<'generate.start'> | OpenedStream<'generate.resume'>;

/**
 * A generation under way: iterate it for its tokens, await `done` for how it ended. It survives a broken connection:
 * no token is lost or repeated. Leaving the loop early cancels it.
 */
export class Generation implements AsyncIterable<Token>, AsyncDisposable {
  /** Its name on the agent. */
  readonly id = randomId();
  /** Resolves once the agent has checked it and taken it into its queue; rejects where it is refused. */
  readonly admitted: Promise<void>;
  /** How it ended and what it cost; settles once all tokens were read. */
  readonly done: Promise<DoneEvent>;

  readonly #connection: Connection;
  readonly #tokens = new EventQueue<Token>();
  readonly #window: number;
  readonly #signal: AbortSignal | undefined;
  readonly #reload: () => Promise<void>;
  readonly #start: {
    readonly model: string;
    readonly prompt: WirePrompt;
    readonly continueFrom?: number[];
    readonly sampling: SamplingOptions;
    readonly service: ServiceOptions;
  };
  #settle!: { resolve(done: DoneEvent): void; reject(error: unknown): void };
  #admit!: { resolve(): void; reject(error: unknown): void };
  #stream: Opened | undefined;
  /** Number of the token that is event 0 of the present stream. */
  #base = 0;
  /** Tokens that arrived, and that were read, with those before the first. */
  #received: number;
  #read: number;
  readonly #first: number;
  /** Credit that the agent was last given, as the number of a token. */
  #granted = 0;
  readonly #stallMs: number;
  readonly #span: GenerationSpan;
  /** When the agent last sent something, or was allowed to. */
  #waitingSince = 0;
  /** Steps of the agent's engine when it was last asked about them, since the last token. */
  #steps: number | undefined;
  #cancelWatch: () => void = () => {};
  #started = false;
  #over = false;
  #iterated = false;
  #cancelAsked = false;
  #reloaded = false;

  /** @param reload loads the model again, where the board has lost it */
  constructor(
    connection: Connection,
    model: string,
    prompt: Prompt,
    options: GenerationOptions,
    reload: () => Promise<void>,
  ) {
    this.#reload = reload;
    const { signal, window, stallMs, responseFormat, continueFrom = [], ...rest } = options;
    const { class: served, priority, client, deadlineMs, maxPredictedMs, ...others } = rest;
    const { traceparent, tracestate, ...sampling } = others;
    this.#stallMs = stallMs ?? STALL_MS;
    this.#connection = connection;
    this.#signal = signal;
    this.#window = window ?? DEFAULT_TOKEN_WINDOW;
    const toWire = toWirePrompt(prompt);
    this.#span = new GenerationSpan(model, toWire, { traceparent, tracestate });
    const service = { class: served, priority, client, deadlineMs, maxPredictedMs, ...this.#span.context };
    const before = [...continueFrom];
    this.#first = before.length;
    this.#received = this.#first;
    this.#read = this.#first;
    this.#start = {
      model,
      prompt: toWire,
      // Left out where there is nothing to go on after: older agents do not know it.
      ...(this.#first === 0 ? {} : { continueFrom: before }),
      sampling: { ...sampling, ...toWireFormat(responseFormat) },
      service,
    };
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.admitted = new Promise((resolve, reject) => {
      this.#admit = { resolve, reject };
    });
    // Whoever only iterates gets the error there.
    this.done.catch(() => {});
    this.admitted.catch(() => {});
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted) this.#onAbort();
    else {
      this.#watch();
      this.#begin().catch((error: unknown) => this.#fail(error));
    }
  }

  /** All of the text, once the generation has ended; without that of the tokens that it went on after. */
  async text(): Promise<string> {
    let text = '';
    for await (const token of this) text += token.text;
    return text + (await this.done).text;
  }

  /**
   * How far the prompt is, and with it the tokens to go on after; undefined while it is not tokens yet, and once the generation has ended.
   * @throws PynqLlmError SDK_CONNECTION_LOST, SDK_CLOSED
   */
  async progress(): Promise<PromptProgress | undefined> {
    if (this.#over) return undefined;
    try {
      return (await this.#connection.request('generate.progress', { generation: this.id })).prompt;
    } catch (error) {
      if (isPynqLlmError(error, 'AGENT_GENERATION_UNKNOWN')) return undefined;
      throw error;
    }
  }

  /** Ends it within one step; the loop ends after the tokens that were generated, `done` has the reason `cancelled`. */
  async cancel(): Promise<void> {
    if (!this.#over) await this.#sendCancel();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Token, void, void> {
    if (this.#iterated)
      throw new PynqLlmError('SDK_ALREADY_READ', `The tokens of generation ${this.id} were read already.`);
    this.#iterated = true;
    try {
      for (;;) {
        // Tokens that came and were not read yet are not given to who has aborted.
        this.#signal?.throwIfAborted();
        const token = await this.#tokens.next();
        if (token === undefined) return;
        this.#read++;
        this.#grant();
        yield token;
      }
    } finally {
      if (!this.#over) await this.#abandon();
    }
  }

  /** Cancels it if it is still running. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#over) await this.#abandon();
  }

  async #sendCancel(): Promise<void> {
    this.#cancelAsked = true;
    try {
      await this.#connection.request('generate.cancel', { generation: this.id });
    } catch (error) {
      if (!isPynqLlmError(error, 'AGENT_GENERATION_UNKNOWN')) throw error;
    }
  }

  /** Nobody reads on: cancels, and lets the rest come so that the agent has ended it when this returns. */
  async #abandon(): Promise<void> {
    this.#read = Number.MAX_SAFE_INTEGER;
    await this.cancel().catch((error: unknown) => this.#fail(error));
    await this.done.catch(() => {});
  }

  readonly #onAbort = (): void => {
    this.#sendCancel().catch(() => {});
    this.#fail(this.#signal?.reason);
  };

  async #begin(): Promise<void> {
    const service = toWireService(this.#connection, this.#start.service);
    const params = { generation: this.id, window: this.#window, ...this.#start, service };
    const stream = await this.#connection.openStream('generate.start', params, this.#reader, {
      timeoutMs: START_MS,
    });
    this.#attach(stream);
    try {
      await stream.result;
      this.#started = true;
      this.#admit.resolve();
      // The agent did not know of it when it was asked to cancel.
      if (this.#cancelAsked && !this.#over) await this.#sendCancel();
    } catch (error) {
      // A broken connection tells the reader too, which continues or starts again.
      if (isBroken(error)) return;
      if (!isPynqLlmError(error, 'AGENT_MODEL_NOT_LOADED') || this.#reloaded) throw error;
      stream.release(true);
      this.#stream = undefined;
      this.#reloaded = true;
      await this.#reload();
      if (!this.#over) await this.#begin();
    }
  }

  readonly #reader = {
    onEvent: (event: GenerateEvent) => this.#take(event),
    onLost: (reason: PynqLlmError) => {
      this.#stream = undefined;
      if (this.#over) return;
      if (reason.code === 'SDK_CLOSED') this.#fail(reason);
      else this.#resume().catch((error: unknown) => this.#fail(error));
    },
  };

  async #resume(): Promise<void> {
    await this.#connection.ready();
    if (this.#over) return;
    const params = { generation: this.id, next: this.#received };
    const stream = await this.#connection.openStream('generate.resume', params, this.#reader);
    this.#attach(stream);
    try {
      await stream.result;
      this.#started = true;
      this.#admit.resolve();
      // The agent did not know of it when it was asked to cancel.
      if (this.#cancelAsked && !this.#over) await this.#sendCancel();
    } catch (error) {
      if (isBroken(error)) return;
      stream.release(true);
      const isUnknown =
        isPynqLlmError(error, 'AGENT_GENERATION_UNKNOWN') ||
        isPynqLlmError(error, 'FLEET_GENERATION_UNKNOWN');
      const neverArrived = isUnknown && !this.#started && this.#received === this.#first;
      if (!neverArrived) throw error;
      await this.#begin();
    }
  }

  #attach(stream: Opened): void {
    this.#stream = stream;
    this.#base = this.#received;
    this.#granted = 0;
    if (this.#over) {
      // Aborted before the agent knew of it.
      stream.release(false);
      this.#sendCancel().catch(() => {});
    } else this.#grant();
  }

  /** Tells the agent how far it may go, not for every single token. */
  #grant(): void {
    const limit = Math.min(this.#read, this.#received) + this.#window;
    if (this.#stream === undefined || limit - this.#granted < Math.max(1, this.#window / 4)) return;
    if (this.#granted <= this.#received) this.#sawProgress(undefined);
    this.#granted = limit;
    this.#stream.grant(limit - this.#base);
  }

  #take(event: GenerateEvent): void {
    if (this.#over) return;
    this.#sawProgress(undefined);
    // The answer to the start may be lost with a connection, or come later than its first event.
    if (event.type === 'failed') this.#admit.reject(errorFromWire(event.error));
    else this.#admit.resolve();
    if (event.type === 'token') {
      if (event.index !== this.#received)
        throw new PynqLlmError(
          'PROTOCOL_OUT_OF_ORDER',
          `Token ${event.index} came where ${this.#received} was due.`,
        );
      this.#received++;
      const { type: _, ...token } = event;
      this.#tokens.push(token);
      // After an early end of the loop the rest is only counted.
      if (this.#read > this.#received) this.#grant();
      return;
    }
    this.#finish(true);
    if (event.type === 'failed') {
      const error = errorFromWire(event.error);
      this.#span.failed(error);
      this.#tokens.fail(error);
      this.#settle.reject(error);
    } else {
      this.#span.done(event);
      this.#tokens.end();
      this.#settle.resolve(event);
    }
  }

  /** A connection that lives is no progress: the agent may have lost the generation, or be at work for ever. */
  #watch(): void {
    // Twice in the time that it may take: once to know the number of steps, once to see whether it has grown.
    this.#cancelWatch = systemClock.after(this.#stallMs / 2, () => {
      this.#look().catch((error: unknown) => this.#fail(error));
    });
  }

  async #look(): Promise<void> {
    if (this.#isDue) {
      const steps = await this.#askForSteps();
      if (this.#over) return;
      const isFirst = this.#steps === undefined && steps !== undefined;
      if (isFirst) this.#steps = steps;
      else if (steps !== undefined && steps !== this.#steps) this.#sawProgress(steps);
      // Where an earlier answer was lost, the first number comes late and says nothing of the time before it.
      if (!isFirst && this.#isDue && systemClock.now() - this.#waitingSince >= this.#stallMs) {
        this.#sendCancel().catch(() => {});
        throw new PynqLlmError(
          'SDK_NO_PROGRESS',
          `The agent is connected but for ${this.#stallMs} ms sent no token, after ${this.#received - this.#first} of them, and computed no step.`,
          { context: { generation: this.id, tokens: this.#received - this.#first, stallMs: this.#stallMs } },
        );
      }
    }
    this.#watch();
  }

  /** Whether the next token is the agent's to send. While the connection is made again it is not. */
  get #isDue(): boolean {
    return this.#stream !== undefined && this.#granted > this.#received;
  }

  /** Undefined where the agent does not say: no answer is no progress. */
  async #askForSteps(): Promise<number | undefined> {
    const params = { generation: this.id };
    try {
      const options = { timeoutMs: this.#stallMs / 2 };
      return (await this.#connection.request('generate.progress', params, options)).steps;
    } catch {
      return undefined;
    }
  }

  #sawProgress(steps: number | undefined): void {
    this.#waitingSince = systemClock.now();
    this.#steps = steps;
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#finish(false);
    this.#span.failed(error);
    this.#admit.reject(error);
    this.#tokens.fail(error);
    this.#settle.reject(error);
  }

  /** @param ended whether the agent sent its last event */
  #finish(ended: boolean): void {
    this.#over = true;
    this.#cancelWatch();
    this.#stream?.release(ended);
    this.#stream = undefined;
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

/** Encoding a long prompt waits for the step that runs. */
const START_MS = 120_000;
const STALL_MS = 600_000;

function toWireFormat(format: ResponseFormat | undefined): Pick<SamplingOptions, 'responseFormat'> {
  if (format?.type !== 'json-schema') return format === undefined ? {} : { responseFormat: format };
  return { responseFormat: { type: format.type, schema: schemaText(format.schema) } };
}

const PROMPT = z.object({
  prompt: z.union(
    [
      z.string(),
      z.looseObject({ text: z.string() }),
      z.looseObject({ tokens: listOf('token ids') }),
      z.looseObject({ messages: z.custom(Array.isArray) }),
    ],
    'must be a text, { text }, { messages } or { tokens }',
  ),
});

/** @throws PynqLlmError SDK_ARGUMENT */
export function toWirePrompt(prompt: Prompt): WirePrompt {
  requireArguments({ prompt }, PROMPT);
  if (typeof prompt === 'string') return { text: prompt };
  if ('text' in prompt) return { ...prompt };
  if ('tokens' in prompt) return { tokens: [...prompt.tokens] };
  return toWireConversation(prompt);
}
