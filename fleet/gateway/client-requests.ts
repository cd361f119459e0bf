import type { GenerationRegistry } from '../../agent/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { ClientPath } from '../../llm/index.js';
import {
  type Clock,
  errorFromWire,
  type Params,
  type Result,
  type ServerStream,
} from '../../protocol/index.js';
import type { Calls } from './calls.js';
import type { Dispatch } from './dispatch.js';
import type { FleetModels } from './fleet-models.js';
import type { Journal } from './journal.js';
import type { LeftRequest } from './left-requests.js';
import { factsOf, type RequestSink } from './request.js';
import { promptTokens } from './tokens-of.js';

/** What a board refuses it refuses at once; who waits longer for a board is answered before. */
const ANSWER_MS = 2_000;

interface ClientRequestsOptions {
  readonly clock: Clock;
  readonly models: FleetModels;
  readonly calls: Calls;
  readonly generations: GenerationRegistry;
  readonly journal: Journal;
  readonly dispatch: Dispatch;
}

/** What clients ask to be generated: on its way into the journal and to the boards, and what comes of it on its way back. */
export class ClientRequests {
  readonly #options: ClientRequestsOptions;
  /** Those whose prompts become tokens: how far they may go, and whether they were cancelled. */
  readonly #preparing = new Map<string, { credit: number; cancelled: boolean }>();
  #isDraining = false;

  constructor(options: ClientRequestsOptions) {
    this.#options = options;
  }

  /** For the generations: a client has room for more tokens. */
  grant(generation: string, credit: number): void {
    const preparing = this.#preparing.get(generation);
    if (preparing === undefined) this.#options.dispatch.grant(generation, credit);
    else preparing.credit = Math.max(preparing.credit, credit);
  }

  /** For the generations: nobody wants the rest. */
  cancel(generation: string): void {
    const preparing = this.#preparing.get(generation);
    if (preparing === undefined) this.#options.dispatch.cancel(generation);
    else preparing.cancelled = true;
  }

  /**
   * Takes a request: its prompt becomes tokens, it is journaled and queued. Resolves when a board has begun with it, or it is
   * known that it has to wait.
   * @throws PynqLlmError AGENT_DRAINING, AGENT_MODEL_NOT_LOADED, FLEET_NO_BOARDS, FLEET_BROKER_AWAY, BUS_..., LLM_...
   */
  async generate(
    params: Params<'generate.start'>,
    client: ClientPath,
    stream: ServerStream,
  ): Promise<Result<'generate.start'>> {
    if (this.#isDraining)
      throw new PynqLlmError('AGENT_DRAINING', 'The gateway is shutting down and takes no more generations.');
    const { models, generations } = this.#options;
    const { generation, model, window, sampling } = params;
    models.requireLoaded(model);
    if (sampling.draftModel !== undefined) models.requireDrafting(sampling.draftModel);
    const first = params.continueFrom?.length ?? 0;
    // Refused, it leaves the one of this id that is there as it is.
    generations.add(generation, model, window, stream, first, params.service);
    const preparing = { credit: first + stream.credit, cancelled: false };
    this.#preparing.set(generation, preparing);
    try {
      return await this.#queue(params, client, preparing);
    } catch (cause) {
      const error = isPynqLlmError(cause, 'BUS_UNAVAILABLE') ? brokerAway(cause) : cause;
      generations.refuse(generation, stream, error);
      throw error;
    } finally {
      this.#preparing.delete(generation);
    }
  }

  async #queue(
    params: Params<'generate.start'>,
    client: ClientPath,
    preparing: { readonly credit: number; readonly cancelled: boolean },
  ): Promise<Result<'generate.start'>> {
    const { clock, calls, journal, dispatch, models } = this.#options;
    const arrivedAt = clock.now();
    const { generation, sampling } = params;
    const tokens = await promptTokens(calls, params.model, params.prompt);
    models.requireRoom(params.model, tokens.length);
    // Whoever goes on with it draws the same numbers.
    const whole = {
      ...params,
      prompt: { tokens: [...tokens] },
      sampling: { ...sampling, seed: sampling.seed ?? 0 },
    };
    await journal.begin({ client: [...client], params: whole });
    return new Promise((resolve, reject) => {
      let isAnswered = false;
      const answer = (settle: () => void) => {
        isAnswered = true;
        stop();
        settle();
      };
      const begun = () => answer(() => resolve({ promptTokens: tokens.length }));
      const stop = clock.after(ANSWER_MS, begun);
      const { credit, cancelled } = preparing;
      this.#preparing.delete(generation);
      const sink = this.#sink(generation);
      dispatch.submit(factsOf(whole, client, arrivedAt), credit, {
        onBegun: begun,
        onEvent: (event) => {
          if (!isAnswered && event.type === 'failed') {
            // The answer says it, and no event before it.
            journal.end(generation, event);
            return answer(() => reject(errorFromWire(event.error)));
          }
          if (!isAnswered) begun();
          sink.onEvent(event);
        },
      });
      if (cancelled) dispatch.cancel(generation);
    });
  }

  /** What comes of a request goes to its client, and its end to the journal. */
  #sink(generation: string): RequestSink {
    return {
      onBegun: () => {},
      onEvent: (event) => {
        if (event.type !== 'token') this.#options.journal.end(generation, event);
        this.#options.generations.take(generation, event);
      },
    };
  }

  /**
   * Goes on with a request that a gateway before had. What its client has read nobody knows until that says so: until then nothing
   * is computed that it may have no room for, and who does not come back is waited for as where a connection broke.
   */
  adopt({ requested: { params, client, at }, reader, over }: LeftRequest): void {
    const { clock, generations, journal, dispatch } = this.#options;
    const { generation, model, window } = params;
    // Its client has come here before what it asked the other gateway for.
    if (generations.has(generation)) return;
    const last = over ?? reader.end;
    const so = { next: reader.next, kept: reader.latest(window), last };
    generations.restore(generation, model, window, so, params.service);
    if (over !== undefined) return;
    if (last !== undefined) {
      journal.end(generation, last);
      return;
    }
    const agoMs = Math.max(0, Date.now() - at);
    const facts = factsOf(params, client, clock.now() - agoMs);
    // All tokens that are there the client had room for.
    dispatch.submit(facts, reader.next, this.#sink(generation), reader);
  }

  /** @throws PynqLlmError AGENT_GENERATION_UNKNOWN */
  async progress(generation: string): Promise<Result<'generate.progress'>> {
    const { calls, dispatch } = this.#options;
    const request = dispatch.find(generation);
    const { board } = request ?? {};
    // Tokens of others are progress, too, for who waits.
    const steps = dispatch.totals.tokens;
    if (board !== undefined && request?.begun)
      try {
        const told = await calls.ask(board.name, 'generate.progress', { generation });
        return { ...told, steps: told.steps + steps };
      } catch {
        // The board is on its way out: the request goes on elsewhere.
      }
    if (request !== undefined || this.#preparing.has(generation)) return { steps };
    throw new PynqLlmError('AGENT_GENERATION_UNKNOWN', `There is no generation ${generation}.`, {
      context: { id: generation },
    });
  }

  /** Takes no more, and waits at most `ms` for those that clients wait for. */
  drain(ms: number): Promise<void> {
    this.#isDraining = true;
    return this.#options.generations.quiet(ms);
  }
}

/** What clients are told of a broker that is away, whichever question found it so. */
function brokerAway(cause: PynqLlmError): PynqLlmError {
  return new PynqLlmError('FLEET_BROKER_AWAY', `The request was not taken: ${cause.what}`, { cause });
}
