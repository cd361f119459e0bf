import { join } from 'node:path';
import {
  GenerationRegistry,
  type ModelStore,
  type SessionHost,
  Sessions,
  type UploadBodies,
} from '../../agent/index.js';
import type { Bus } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import type { Clock } from '../../protocol/index.js';
import { LoadHistory } from '../advice/load-history.js';
import type { PipelineMode } from '../plan/assign.js';
import { readFleetModel } from '../plan/fleet-model.js';
import { WORK_QUEUE } from '../subjects.js';
import { BoardPages } from './board-pages.js';
import { Boards, type FleetBoard } from './boards.js';
import { Calls } from './calls.js';
import { FLEET_CAPABILITIES } from './capabilities.js';
import { ClientRequests } from './client-requests.js';
import { Dispatch } from './dispatch.js';
import { FleetModels } from './fleet-models.js';
import { FleetReports } from './fleet-reports.js';
import type { TensorMode } from './group-plans.js';
import { createHandler, type HandledGateway } from './handlers.js';
import { Journal } from './journal.js';
import { LoadMeter } from './load-meter.js';
import { Operations } from './operations.js';
import { Pipelines } from './pipelines.js';
import { serveFiles } from './serve-files.js';
import { StepPrices } from './step-prices.js';
import { deletePlans } from './stored-plans.js';
import { WantedModels } from './wanted-models.js';

/** A board's interactive requests may wait as long for their first column. */
const WAIT_MS = 120_000;
/** Who connects, or looks, does not wait as long for a first board. */
const LOOK_MS = 10_000;
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
  /** How models, or with `pipeline` its stages, are cut by rows. */
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
  readonly requests: ClientRequests;
  readonly operations: Operations;
  readonly reports: FleetReports;
  readonly #options: GatewayOptions;
  readonly #sessions: Sessions;
  readonly #boards: Boards;
  readonly #pipelines: Pipelines | undefined;
  readonly #pages: BoardPages;
  readonly #dispatch: Dispatch;
  readonly #files: Disposable;
  readonly #meter: LoadMeter;
  readonly #closing = new AbortController();
  readonly #journal: Journal;

  private constructor(options: GatewayOptions, history: LoadHistory, journal: Journal, wanted: WantedModels) {
    this.#options = options;
    this.#journal = journal;
    const { bus, store, clock, log, pipeline, tensor, maxWaitMs = WAIT_MS, term } = options;
    this.store = store;
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
    const mode = { stages: pipeline ?? 1, tensor };
    if (pipeline !== undefined || tensor !== undefined)
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
    this.#meter = new LoadMeter({
      clock,
      history,
      busyBoards: () => this.#dispatch.busyBoards,
      tokens: () => this.#dispatch.totals.tokens,
    });
    this.generations = new GenerationRegistry(clock, () => this.requests, log);
    const parts = {
      clock,
      store,
      boards: this.#boards,
      calls: this.calls,
      models: this.models,
      generations: this.generations,
      dispatch: this.#dispatch,
    };
    this.requests = new ClientRequests({ ...parts, journal });
    const countOf = (board: string) => this.#dispatch.countOf(board);
    this.operations = new Operations({ ...parts, countOf });
    this.#files = serveFiles(bus, store);
    this.#sessions = new Sessions({
      ...options,
      capabilities: FLEET_CAPABILITIES,
      handlerOf: (session) => createHandler(this, session),
    });
    this.reports = new FleetReports({
      ...parts,
      sessions: this.#sessions,
      pipelines: this.#pipelines,
      pages: this.#pages,
      history,
      waitMs: LOOK_MS,
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
        onLeft: (request) => gateway.requests.adopt(request),
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

  drain(ms: number): Promise<void> {
    return this.requests.drain(ms);
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
