import { join } from 'node:path';
import {
  AGENT_VERSION,
  GenerationRegistry,
  type ModelStore,
  type SessionHost,
  Sessions,
} from '../../agent/index.js';
import type { Bus } from '../../bus/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import type { ClientPath } from '../../llm/index.js';
import {
  type BoardHealth,
  type BoardInfo,
  type Clock,
  errorFromWire,
  type FleetAdvice,
  type FleetStatus,
  type GenerateEvent,
  type Params,
  PROTOCOL_VERSION,
  type Result,
  type ServerStream,
} from '../../protocol/index.js';
import { LoadHistory } from '../advice/load-history.js';
import { pack } from '../messages.js';
import { LOG, REQUESTS, WORK_QUEUE } from '../subjects.js';
import { BoardPages } from './board-pages.js';
import { Boards, type FleetBoard } from './boards.js';
import { Calls } from './calls.js';
import { declareStores } from './declare-stores.js';
import { Dispatch } from './dispatch.js';
import { adviceOf } from './fleet-advice.js';
import { FleetModels } from './fleet-models.js';
import { createHandler, FLEET_CAPABILITIES, type HandledGateway } from './handlers.js';
import { LoadMeter } from './load-meter.js';
import { Operations } from './operations.js';
import { serveFiles } from './serve-files.js';
import { StepPrices } from './step-prices.js';
import { sumMetrics } from './sum-metrics.js';
import { promptTokens } from './tokens-of.js';
import { watchBoards } from './watch-boards.js';

/** A board's interactive requests may wait as long for their first column. */
const WAIT_MS = 120_000;
/** Who connects, or looks, does not wait as long for a first board. */
const LOOK_MS = 10_000;
/** What a board refuses it refuses at once; who waits longer for a board is answered before. */
const ANSWER_MS = 2_000;
const JOURNAL_MS = 5_000;

export interface GatewayOptions {
  readonly bus: Bus;
  readonly store: ModelStore;
  readonly clock: Clock;
  readonly log: Log;
  /** How long requests wait where no board could take them; two minutes unless given. */
  readonly maxWaitMs?: number | undefined;
}

/** Several boards behind one endpoint: speaks to clients as a board's agent does, and to boards over the bus. */
export class Gateway implements SessionHost, HandledGateway {
  readonly store: ModelStore;
  readonly models: FleetModels;
  readonly calls: Calls;
  readonly generations: GenerationRegistry;
  readonly operations: Operations;
  readonly #options: GatewayOptions;
  readonly #sessions: Sessions;
  readonly #boards: Boards;
  readonly #pages: BoardPages;
  readonly #dispatch: Dispatch;
  readonly #files: Disposable;
  readonly #history: LoadHistory;
  readonly #meter: LoadMeter;
  readonly #startedAt: number;
  readonly #closing = new AbortController();
  /** Generations whose prompts become tokens: how far they may go, and whether they were cancelled. */
  readonly #preparing = new Map<string, { credit: number; cancelled: boolean }>();
  #isDraining = false;

  private constructor(options: GatewayOptions, history: LoadHistory) {
    this.#options = options;
    const { bus, store, clock, log, maxWaitMs = WAIT_MS } = options;
    this.store = store;
    this.#startedAt = clock.now();
    this.#boards = new Boards({
      bus,
      log,
      onChange: (board) => this.#onBoard(board),
      onGone: (board, why) => {
        this.#pages.boardGone(board);
        this.#dispatch.boardGone(board, why === 'released');
      },
    });
    this.calls = new Calls(bus, this.#boards, maxWaitMs);
    this.#pages = new BoardPages({ ...options, boards: this.#boards, calls: this.calls });
    this.models = new FleetModels({ ...options, boards: this.#boards, calls: this.calls, waitMs: LOOK_MS });
    this.#dispatch = new Dispatch({
      ...options,
      boards: this.#boards,
      pages: this.#pages,
      prices: new StepPrices(store, log),
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

  /** Makes what the fleet has on the bus, and waits for boards. @throws PynqLlmError BUS_... */
  static async open(options: GatewayOptions): Promise<Gateway> {
    const { bus, store, log } = options;
    await declareStores(bus);
    const history = await LoadHistory.open(join(store.directory, 'fleet-history.jsonl'), log);
    const { last } = await bus.log(LOG).bounds();
    const gateway = new Gateway(options, history);
    void gateway.#read(last + 1);
    return gateway;
  }

  get uploadBodies(): SessionHost['uploadBodies'] {
    return this.#sessions.uploadBodies;
  }

  openSession(...client: Parameters<SessionHost['openSession']>): ReturnType<SessionHost['openSession']> {
    return this.#sessions.open(...client);
  }

  /** The same host, with what else ends when it is closed. @param close closes the gateway, too */
  closedBy(close: () => Promise<void>): SessionHost {
    return {
      uploadBodies: this.uploadBodies,
      openSession: (...client) => this.openSession(...client),
      drain: (ms) => this.drain(ms),
      close,
    };
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
   * @throws PynqLlmError AGENT_DRAINING, AGENT_MODEL_NOT_LOADED, FLEET_NO_BOARDS, BUS_..., LLM_...
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
    if (sampling.draftModel !== undefined) this.models.requireLoaded(sampling.draftModel);
    const first = params.continueFrom?.length ?? 0;
    // Refused, it leaves the one of this id that is there as it is.
    this.generations.add(generation, model, window, stream, first, params.service);
    const preparing = { credit: first + stream.credit, cancelled: false };
    this.#preparing.set(generation, preparing);
    try {
      return await this.#queue(params, client, preparing);
    } catch (error) {
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
    const { bus, clock } = this.#options;
    const arrivedAt = clock.now();
    const { generation, service = {}, sampling } = params;
    const tokens = await promptTokens(this.calls, params.model, params.prompt);
    // Whoever goes on with it draws the same numbers.
    const whole = {
      ...params,
      prompt: { tokens: [...tokens] },
      sampling: { ...sampling, seed: sampling.seed ?? 0 },
    };
    await bus
      .log(LOG)
      .append(
        `${REQUESTS}.${generation}`,
        `${generation}.req`,
        pack({ client: [...client], params: whole }),
        {
          timeoutMs: JOURNAL_MS,
        },
      );
    const { deadlineMs } = service;
    const facts = {
      params: whole,
      client,
      class: service.class ?? 'interactive',
      priority: service.priority ?? 5,
      arrivedAt,
      deadlineAt: deadlineMs === undefined ? undefined : arrivedAt + deadlineMs,
    };
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
      this.#dispatch.submit(facts, credit, {
        onBegun: begun,
        onEvent: (event: GenerateEvent) => {
          if (!isAnswered && event.type === 'failed') return answer(() => reject(errorFromWire(event.error)));
          if (!isAnswered) begun();
          this.generations.take(generation, event);
        },
      });
      if (cancelled) this.#dispatch.cancel(generation);
    });
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
      boards: this.#boards.all.map(
        ({ name, owner, counts, record: { info, places, isDraining, models } }) => ({
          name,
          device: info.device,
          title: info.description.title,
          agent: info.agent,
          state: isDraining ? 'draining' : 'ready',
          places,
          inHand: this.#dispatch.countOf(name),
          pages: this.#pages.countOf(owner),
          ...counts,
          models: models.map((model) => ({
            model: model.digest,
            state: model.state,
            ...(model.state === 'failed' && { error: model.error.message }),
          })),
        }),
      ),
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

  async close(): Promise<void> {
    this.#closing.abort();
    this.#meter.close();
    this.#sessions.end(new PynqLlmError('AGENT_CLOSING', 'The gateway is shutting down.'));
    this.#dispatch.close();
    this.generations.close();
    this.#files[Symbol.dispose]();
    this.#pages.close();
    this.#boards.close();
    await this.store.close();
  }

  get #uptimeMs(): number {
    return this.#options.clock.now() - this.#startedAt;
  }

  #onBoard(board: FleetBoard): void {
    const { bus, log } = this.#options;
    bus
      .queue(WORK_QUEUE)
      .openLane(board.name)
      .catch((err: unknown) => log.error({ err, board: board.name }, 'a board cannot be given requests'));
    this.models.reconcile(board);
    this.#pages.boardChanged(board);
    this.#dispatch.boardChanged();
  }

  /** Hears the log to the end. */
  async #read(from: number): Promise<void> {
    const { bus, log } = this.#options;
    const { signal } = this.#closing;
    try {
      for await (const entry of bus.log(LOG).read({ from, signal }))
        try {
          this.#dispatch.take(entry);
        } catch (err) {
          log.error({ err, subject: entry.subject }, 'an entry of the log cannot be taken');
        }
    } catch (err) {
      if (!signal.aborted) log.error({ err }, 'the log of the fleet cannot be read any more');
    }
  }
}
