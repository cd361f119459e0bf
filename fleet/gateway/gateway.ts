import { join } from 'node:path';
import {
  AGENT_VERSION,
  GenerationRegistry,
  type ModelStore,
  type SessionHost,
  Sessions,
  type UploadBodies,
} from '../../agent/index.js';
import type { Bus } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import type { ClientPath } from '../../llm/index.js';
import {
  type BoardHealth,
  type BoardInfo,
  type Clock,
  errorFromWire,
  type FleetAdvice,
  type FleetStatus,
  type Params,
  PROTOCOL_VERSION,
  type Result,
  type ServerStream,
} from '../../protocol/index.js';
import { LoadHistory } from '../advice/load-history.js';
import type { PipelineMode } from '../plan/assign.js';
import { readFleetModel } from '../plan/fleet-model.js';
import { WORK_QUEUE } from '../subjects.js';
import { BoardPages } from './board-pages.js';
import { Boards, type FleetBoard } from './boards.js';
import { Calls } from './calls.js';
import { describeBoard, describePlan } from './describe.js';
import { Dispatch } from './dispatch.js';
import { adviceOf } from './fleet-advice.js';
import { FleetModels } from './fleet-models.js';
import { createHandler, FLEET_CAPABILITIES, type HandledGateway } from './handlers.js';
import { Journal } from './journal.js';
import type { LeftRequest } from './left-requests.js';
import { LoadMeter } from './load-meter.js';
import { Operations } from './operations.js';
import { deletePlans, Pipelines } from './pipelines.js';
import { factsOf, type RequestSink } from './request.js';
import { serveFiles } from './serve-files.js';
import { StepPrices } from './step-prices.js';
import { sumMetrics } from './sum-metrics.js';
import type { TensorMode } from './tensor-plans.js';
import { promptTokens } from './tokens-of.js';
import { WantedModels } from './wanted-models.js';
import { watchBoards } from './watch-boards.js';

/** A board's interactive requests may wait as long for their first column. */
const WAIT_MS = 120_000;
/** Who connects, or looks, does not wait as long for a first board. */
const LOOK_MS = 10_000;
/** What a board refuses it refuses at once; who waits longer for a board is answered before. */
const ANSWER_MS = 2_000;
/** A board that did not hear that this gateway leads is told again after so long. */
const AGAIN_MS = 500;

export interface GatewayOptions {
  readonly bus: Bus;
  readonly store: ModelStore;
  readonly clock: Clock;
  readonly log: Log;
  /** How long requests wait where no board could take them; two minutes unless given. */
  readonly maxWaitMs?: number | undefined;
  /** How many boards a model is cut over; each board has all of a model unless given. */
  readonly pipeline?: PipelineMode | undefined;
  /** How models are cut by rows; then there is no `pipeline`. */
  readonly tensor?: TensorMode | undefined;
  /** Milliseconds that a stage of a model that is cut may take for a batch; a minute unless given. */
  readonly hopMs?: number | undefined;
  /** Of the lease under which it leads, and whether that is held now. */
  readonly term: number;
  readonly leads: () => boolean;
  /** Gives up opening it. */
  readonly signal: AbortSignal;
  readonly uploadBodies: UploadBodies;
}

/**
 * Several boards behind one endpoint, for as long as this process leads the fleet: speaks to clients as a board's agent does, and
 * to boards over the bus.
 */
export class Gateway implements HandledGateway {
  readonly store: ModelStore;
  readonly models: FleetModels;
  readonly calls: Calls;
  readonly generations: GenerationRegistry;
  readonly operations: Operations;
  readonly #options: GatewayOptions;
  readonly #sessions: Sessions;
  readonly #boards: Boards;
  readonly #pipelines: Pipelines | undefined;
  readonly #pages: BoardPages;
  readonly #dispatch: Dispatch;
  readonly #files: Disposable;
  readonly #history: LoadHistory;
  readonly #meter: LoadMeter;
  readonly #startedAt: number;
  readonly #closing = new AbortController();
  readonly #journal: Journal;
  /** Generations whose prompts become tokens: how far they may go, and whether they were cancelled. */
  readonly #preparing = new Map<string, { credit: number; cancelled: boolean }>();
  #isDraining = false;

  private constructor(options: GatewayOptions, history: LoadHistory, journal: Journal, wanted: WantedModels) {
    this.#options = options;
    this.#journal = journal;
    const { bus, store, clock, log, tensor, maxWaitMs = WAIT_MS, term } = options;
    const mode = tensor?.boards ?? options.pipeline;
    this.store = store;
    this.#startedAt = clock.now();
    this.#boards = new Boards({
      bus,
      log,
      onCome: (board) => void this.#lead(board),
      onChange: (board) => this.#onBoard(board),
      onGone: (board, why) => {
        this.#pages.boardGone(board);
        this.#dispatch.boardGone(board, why === 'released');
        this.#pipelines?.reconcile();
      },
    });
    const modelOf = (digest: string) => readFleetModel(store.path(digest));
    if (mode !== undefined)
      this.#pipelines = new Pipelines({ ...options, boards: this.#boards, mode, modelOf });
    this.calls = new Calls(bus, this.#boards, maxWaitMs, term);
    this.#pages = new BoardPages({ ...options, boards: this.#boards, calls: this.calls });
    this.models = new FleetModels({
      ...options,
      boards: this.#boards,
      calls: this.calls,
      pipelines: this.#pipelines,
      wanted,
      waitMs: LOOK_MS,
    });
    this.#dispatch = new Dispatch({
      ...options,
      boards: this.#boards,
      pages: this.#pages,
      calls: this.calls,
      prices: new StepPrices({
        store,
        log,
        boards: this.#boards,
        planOf: (number) => this.#pipelines?.plan(number),
      }),
      waitMs: maxWaitMs,
    });
    this.#history = history;
    this.#meter = new LoadMeter({
      clock,
      history,
      busyBoards: () => this.#dispatch.busyBoards,
      tokens: () => this.#dispatch.totals.tokens,
    });
    this.generations = new GenerationRegistry(clock, () => this, log);
    const countOf = (board: string) => this.#dispatch.countOf(board);
    this.operations = new Operations({
      boards: this.#boards,
      calls: this.calls,
      models: this.models,
      countOf,
    });
    this.#files = serveFiles(bus, store);
    this.#sessions = new Sessions({
      ...options,
      capabilities: FLEET_CAPABILITIES,
      handlerOf: (session) => createHandler(this, session),
    });
  }

  /**
   * Begins to lead: knows what the gateways before have left, and waits for boards.
   * @throws PynqLlmError BUS_..., FLEET_OLD_TERM; the signal's reason
   */
  static async open(options: GatewayOptions): Promise<Gateway> {
    const { bus, store, log, signal } = options;
    const [history, journal, wanted] = await Promise.all([
      LoadHistory.open(join(store.directory, 'fleet-history.jsonl'), log),
      Journal.open(options),
      WantedModels.open(bus, signal),
    ]);
    const gateway = new Gateway(options, history, journal, wanted);
    try {
      await (gateway.#pipelines?.adopt() ?? deletePlans(bus));
      await journal.read(signal, {
        onLeft: (request) => gateway.#adopt(request),
        onEntry: (entry) => gateway.#dispatch.take(entry),
      });
      return gateway;
    } catch (error) {
      gateway.close(new PynqLlmError('AGENT_CLOSING', 'The gateway could not begin.'));
      throw error;
    }
  }

  openSession(...client: Parameters<SessionHost['openSession']>): ReturnType<SessionHost['openSession']> {
    return this.#sessions.open(...client);
  }

  /** It leads again, and nobody else did meanwhile. */
  resume(): void {
    for (const board of this.#boards.all) this.#onBoard(board);
    this.#dispatch.resume();
  }

  /** For the generations: a client has room for more tokens. */
  grant(generation: string, credit: number): void {
    const preparing = this.#preparing.get(generation);
    if (preparing === undefined) this.#dispatch.grant(generation, credit);
    else preparing.credit = Math.max(preparing.credit, credit);
  }

  /** For the generations: nobody wants the rest. */
  cancel(generation: string): void {
    const preparing = this.#preparing.get(generation);
    if (preparing === undefined) this.#dispatch.cancel(generation);
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
    const { generation, model, window, sampling } = params;
    this.models.requireLoaded(model);
    if (sampling.draftModel !== undefined) this.models.requireDrafting(sampling.draftModel);
    const first = params.continueFrom?.length ?? 0;
    // Refused, it leaves the one of this id that is there as it is.
    this.generations.add(generation, model, window, stream, first, params.service);
    const preparing = { credit: first + stream.credit, cancelled: false };
    this.#preparing.set(generation, preparing);
    try {
      return await this.#queue(params, client, preparing);
    } catch (cause) {
      const error = isPynqLlmError(cause, 'BUS_UNAVAILABLE') ? brokerAway(cause) : cause;
      this.generations.refuse(generation, stream, error);
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
    const { clock } = this.#options;
    const arrivedAt = clock.now();
    const { generation, sampling } = params;
    const tokens = await promptTokens(this.calls, params.model, params.prompt);
    // Whoever goes on with it draws the same numbers.
    const whole = {
      ...params,
      prompt: { tokens: [...tokens] },
      sampling: { ...sampling, seed: sampling.seed ?? 0 },
    };
    await this.#journal.begin({ client: [...client], params: whole });
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
      this.#dispatch.submit(factsOf(whole, client, arrivedAt), credit, {
        onBegun: begun,
        onEvent: (event) => {
          if (!isAnswered && event.type === 'failed') answer(() => reject(errorFromWire(event.error)));
          else if (!isAnswered) begun();
          sink.onEvent(event);
        },
      });
      if (cancelled) this.#dispatch.cancel(generation);
    });
  }

  /** What comes of a request goes to its client, and its end to the journal. */
  #sink(generation: string): RequestSink {
    return {
      onBegun: () => {},
      onEvent: (event) => {
        if (event.type !== 'token') this.#journal.end(generation, event);
        this.generations.take(generation, event);
      },
    };
  }

  /**
   * Goes on with a request that a gateway before had. What its client has read nobody knows until that says so: until then nothing
   * is computed that it may have no room for, and who does not come back is waited for as where a connection broke.
   */
  #adopt({ requested: { params, client, at }, reader, over }: LeftRequest): void {
    const { generation, model, window } = params;
    // Its client has come here before what it asked the other gateway for.
    if (this.generations.has(generation)) return;
    const last = over ?? reader.end;
    const so = { next: reader.next, kept: reader.latest(window), last };
    this.generations.restore(generation, model, window, so, params.service);
    if (over !== undefined) return;
    if (last !== undefined) {
      this.#journal.end(generation, last);
      return;
    }
    const agoMs = Math.max(0, Date.now() - at);
    const facts = factsOf(params, client, this.#options.clock.now() - agoMs);
    // All tokens that are there the client had room for.
    this.#dispatch.submit(facts, reader.next, this.#sink(generation), reader);
  }

  /** @throws PynqLlmError AGENT_GENERATION_UNKNOWN */
  async progress(generation: string): Promise<Result<'generate.progress'>> {
    const request = this.#dispatch.find(generation);
    const { board } = request ?? {};
    // Tokens of others are progress, too, for who waits.
    const steps = this.#dispatch.totals.tokens;
    if (board !== undefined && request?.begun)
      try {
        const told = await this.calls.ask(board.name, 'generate.progress', { generation });
        return { ...told, steps: told.steps + steps };
      } catch {
        // The board is on its way out: the request goes on elsewhere.
      }
    if (request !== undefined || this.#preparing.has(generation)) return { steps };
    throw new PynqLlmError('AGENT_GENERATION_UNKNOWN', `There is no generation ${generation}.`, {
      context: { id: generation },
    });
  }

  /** What the fleet is: the first board speaks for all. @throws PynqLlmError FLEET_NO_BOARDS */
  async info(): Promise<BoardInfo> {
    const first = await this.#boards.until(() => this.#boards.all[0], LOOK_MS);
    if (first === undefined)
      throw new PynqLlmError('FLEET_NO_BOARDS', `No board of the fleet was there within ${LOOK_MS} ms.`);
    return {
      ...first.record.info,
      device: 'fleet:',
      agent: AGENT_VERSION,
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      protocol: PROTOCOL_VERSION,
      capabilities: [...FLEET_CAPABILITIES],
      uptimeMs: this.#uptimeMs,
      fleet: { boards: this.#boards.all.length },
    };
  }

  async health(): Promise<BoardHealth> {
    const problems: { part: string; error: string }[] = [];
    const freeBytes = await this.store.freeBytes().catch((error: unknown) => {
      problems.push({ part: 'store', error: String(error) });
      return undefined;
    });
    const boards = this.#boards.all.length;
    return {
      state: boards > 0 ? 'ready' : 'starting',
      restarts: 0,
      ...(boards > 0 ? {} : { lastError: 'No board of the fleet is there.' }),
      uptimeMs: this.#uptimeMs,
      silentMs: 0,
      sessions: this.#sessions.count,
      generations: this.generations.running,
      models: this.models.count,
      process: { residentBytes: process.memoryUsage.rss() },
      ...(freeBytes === undefined ? {} : { store: { freeBytes } }),
      ...(problems.length === 0 ? {} : { problems }),
    };
  }

  status(): FleetStatus {
    return {
      boards: this.#boards.all.map((board) =>
        describeBoard(board, this.#dispatch.countOf(board.name), this.#pages.countOf(board.owner)),
      ),
      plans: this.#pipelines?.plans().map((plan) => describePlan(plan, this.#boards)),
      waiting: this.#dispatch.countOf(undefined),
      ...this.#dispatch.totals,
    };
  }

  /** How many boards there should be. @throws PynqLlmError FLEET_HISTORY_SHORT */
  advice(params: Params<'fleet.advise'>): FleetAdvice {
    return adviceOf(this.#history.samples, this.#boards.all, params);
  }

  /** What all boards count, together and each by itself. @throws PynqLlmError FLEET_NO_BOARDS */
  async metrics(): Promise<Result<'metrics.read'>> {
    const boards = await watchBoards(this.#boards, this.calls);
    const readings = boards.flatMap(({ engine }) => engine ?? []);
    if (readings.length > 0) return { ...sumMetrics(readings), boards };
    throw new PynqLlmError('FLEET_NO_BOARDS', 'No board of the fleet said what it counts.');
  }

  drain(ms: number): Promise<void> {
    this.#isDraining = true;
    return this.generations.quiet(ms);
  }

  /** @param reason what clients are told: they look for the gateway that goes on with what they wait for */
  close(reason: PynqLlmError): void {
    this.#journal.close();
    this.#closing.abort();
    this.#meter.close();
    this.#sessions.end(reason);
    this.#dispatch.close();
    this.generations.close();
    this.#files[Symbol.dispose]();
    this.#pipelines?.close();
    this.#pages.close();
    this.#boards.close();
  }

  get #uptimeMs(): number {
    return this.#options.clock.now() - this.#startedAt;
  }

  /** Tells a board that has come that this gateway leads; before it knows, it is given nothing. */
  async #lead({ name, owner }: FleetBoard): Promise<void> {
    const { bus, log, clock } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted && this.#boards.get(name)?.owner === owner)
      try {
        await bus.queue(WORK_QUEUE).openLane(name);
        await this.calls.lead(name);
        this.#boards.led(owner);
        this.#dispatch.boardChanged();
        return;
      } catch (err) {
        log.warn({ err, board: name }, 'a board cannot be given requests yet');
        if (isPynqLlmError(err, 'FLEET_OLD_TERM') || isPynqLlmError(err, 'BUS_CLOSED')) return;
        await new Promise<void>((resolve) => clock.after(AGAIN_MS, resolve));
      }
  }

  #onBoard(board: FleetBoard): void {
    if (!this.#options.leads()) return;
    this.models.reconcile(board);
    this.#pages.boardChanged(board);
    this.#dispatch.boardChanged();
  }
}

/** What clients are told of a broker that is away, whichever question found it so. */
function brokerAway(cause: PynqLlmError): PynqLlmError {
  return new PynqLlmError('FLEET_BROKER_AWAY', `The request was not taken: ${cause.what}`, { cause });
}
