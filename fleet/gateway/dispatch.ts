import type { Bus, LogEntry } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import type { Clock, FleetStatus, GenerateEvent } from '../../protocol/index.js';
import { release } from '../placement/release.js';
import type { TokenReader } from '../token-reader.js';
import { admit } from './admit.js';
import type { BoardPages } from './board-pages.js';
import { BoardViews } from './board-views.js';
import type { Boards, FleetBoard } from './boards.js';
import type { Calls } from './calls.js';
import { Moves } from './moves.js';
import { Orders } from './orders.js';
import { Outcomes } from './outcomes.js';
import { Redelivery } from './redelivery.js';
import { FleetRequest, type RequestFacts, type RequestSink } from './request.js';
import { Requests } from './requests.js';
import { Silence } from './silence.js';
import type { StepPrices } from './step-prices.js';
import { Timeouts } from './timeouts.js';

/** While there are requests it is looked at their times so often. */
const TICK_MS = 250;

export interface DispatchOptions {
  readonly bus: Bus;
  readonly boards: Boards;
  readonly pages: BoardPages;
  readonly calls: Pick<Calls, 'ask'>;
  readonly prices: StepPrices;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a request waits where no board could take it. */
  readonly waitMs: number;
  /** Of this gateway, among those that lead one after the other. */
  readonly term: number;
  /** Whether it leads now: where it does not, another one may give boards the same requests. */
  readonly leads: () => boolean;
}

/** The requests of a fleet: queued by the policy of a board, given to boards, and given again to others where one is lost. */
export class Dispatch {
  readonly #options: DispatchOptions;
  readonly #requests: Requests;
  readonly #orders: Orders;
  readonly #redelivery: Redelivery;
  readonly #outcomes: Outcomes;
  readonly #views: BoardViews;
  readonly #moves: Moves;
  readonly #timeouts: Timeouts;
  readonly #silence: Silence;
  #number = 0;
  #stopTick: (() => void) | undefined;
  #isPumping = false;

  constructor(options: DispatchOptions) {
    this.#options = options;
    const onRoom = () => this.#pump();
    const onRefused = (request: FleetRequest, error: unknown) => this.#queueRefused(request, error);
    const requests = new Requests(options.clock);
    const orders = new Orders({ ...options, onRefused });
    const parts = { ...options, requests, orders };
    this.#requests = requests;
    this.#orders = orders;
    this.#redelivery = new Redelivery(parts);
    this.#views = new BoardViews(parts);
    this.#outcomes = new Outcomes({ ...parts, redelivery: this.#redelivery, views: this.#views, onRoom });
    this.#moves = new Moves({ ...parts, views: this.#views });
    this.#timeouts = new Timeouts(parts);
    this.#silence = new Silence({ ...parts, views: this.#views, redelivery: this.#redelivery, onRoom });
  }

  /** Requests that have not ended. */
  get count(): number {
    return this.#requests.count;
  }

  /**
   * Tokens that clients were given; those that came twice, and of them those that were not the same; requests given again, and taken
   * from boards for others.
   */
  get totals(): Pick<FleetStatus, 'tokens' | 'repeated' | 'diverged' | 'redelivered' | 'moved'> {
    const { tokens, repeated, diverged } = this.#outcomes;
    return { tokens, repeated, diverged, redelivered: this.#redelivery.count, moved: this.#moves.count };
  }

  /** Requests that wait for a board, or that one has. */
  countOf(board: string | undefined): number {
    return this.#requests.all.filter((request) => request.board?.name === board).length;
  }

  /** Boards that have something to compute. */
  get busyBoards(): number {
    const busy = this.#requests.all.filter(({ state, isStalled }) => state === 'running' && !isStalled);
    return new Set(busy.map(({ board }) => board?.owner)).size;
  }

  find(generation: string): FleetRequest | undefined {
    return this.#requests.find(generation);
  }

  /** Queues a request. @param left of one that a gateway before had: what came of it @throws PynqLlmError LLM_OVERLOADED where too many wait */
  submit(facts: RequestFacts, credit: number, sink: RequestSink, left?: TokenReader): void {
    let refused: GenerateEvent | undefined;
    let isIn = false;
    const request = new FleetRequest(
      this.#number++,
      facts,
      {
        onBegun: (promptTokens) => sink.onBegun(promptTokens),
        onEvent: (event) => {
          if (isIn) sink.onEvent(event);
          else refused = event;
        },
      },
      credit,
      left,
    );
    this.#requests.enter(request);
    this.#pump();
    isIn = true;
    if (refused !== undefined) sink.onEvent(refused);
  }

  grant(generation: string, credit: number): void {
    const request = this.#requests.find(generation);
    if (request === undefined || credit <= request.credit) return;
    request.credit = credit;
    if (request.state === 'running') this.#orders.grant(request);
    else this.#pump();
  }

  /** Ends it within a step; at once where no board has it. */
  cancel(generation: string): void {
    const request = this.#requests.find(generation);
    if (request === undefined) return;
    request.cancelledAt ??= this.#options.clock.now();
    if (request.state === 'running') this.#orders.cancel(request);
    else this.#requests.endCancelled(request);
  }

  /** A board came, or changed. */
  boardChanged(): void {
    this.#pump();
  }

  /** What a board had goes on elsewhere. @param hasLeft by its own will */
  boardGone(board: FleetBoard, hasLeft: boolean): void {
    if (!this.#options.leads()) return;
    this.#redelivery.boardGone(board, hasLeft);
    this.#pump();
  }

  /** It leads again, and has taken no notice of boards meanwhile. */
  resume(): void {
    this.#redelivery.lookForBoards(this.#options.boards);
    this.#pump();
  }

  /** Takes an entry of the log. @throws PynqLlmError FLEET_BAD_MESSAGE */
  take(entry: LogEntry): void {
    this.#outcomes.take(entry);
  }

  close(): void {
    this.#stopTick?.();
    const error = new PynqLlmError('AGENT_CLOSING', 'The gateway of the fleet is shutting down.').toWire();
    for (const request of this.#requests.all) this.#requests.end(request, { type: 'failed', error });
  }

  #queueRefused(request: FleetRequest, error: unknown): void {
    if (isPynqLlmError(error, 'BUS_PAYLOAD_TOO_LARGE')) this.#requests.fail(request, error);
    else this.#redelivery.giveAgain(request, `it could not be queued: ${String(error)}`, false);
    this.#pump();
  }

  /** Gives boards what they have places for, in the order of the policy. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      if (this.#options.leads()) {
        this.#place();
        this.#moves.steal();
      }
    } finally {
      this.#isPumping = false;
    }
    this.#watch();
  }

  #place(): void {
    const { clock, boards } = this.#options;
    const requests = this.#requests.all;
    const waiting = requests.filter(({ state }) => state === 'waiting');
    this.#requests.rate.wait(waiting.length > 0);
    if (waiting.length === 0) return;
    const now = clock.now();
    const homeless = new Set(waiting.filter((request) => this.#views.boardsFor(request).length === 0));
    for (const request of waiting) request.tellHomeless(homeless.has(request), now);
    // What boards that drain still have is no place of the others.
    const placesOf = ({ name, record }: FleetBoard) =>
      record.isDraining ? this.countOf(name) : record.places;
    const places = boards.all.reduce((sum, board) => sum + placesOf(board), 0);
    const byNumber = new Map(requests.map((request) => [request.number, request]));
    const meant = new Map<FleetRequest, string>();
    const hasBoard = (request: FleetRequest) => !homeless.has(request) && !meant.has(request);
    // Who waits for a board of its own leaves the places of others to those behind it.
    for (let before = -1; meant.size > before; ) {
      before = meant.size;
      const { refused, admitted } = admit(this.#requests, { now, places, hasBoard });
      for (const { id, retryAfterMs } of refused) this.#refuse(byNumber.get(id)!, retryAfterMs);
      for (const id of admitted) this.#placeOne(byNumber.get(id)!, meant);
    }
  }

  /** Gives a request to a board, or has it wait for one. @param meant those that wait, and will count as if their boards had them */
  #placeOne(request: FleetRequest, meant: Map<FleetRequest, string>): void {
    const { released, meantFor } = release(
      [this.#views.waiting(request)],
      this.#views.viewsFor(request, meant),
    );
    const [to] = released;
    request.meantFor = to?.board ?? meantFor.get(request.number);
    const board = to && this.#options.boards.get(to.board);
    if (board !== undefined) this.#release(request, board);
    else if (request.meantFor !== undefined) meant.set(request, request.meantFor);
  }

  #release(request: FleetRequest, board: FleetBoard): void {
    this.#requests.accounts.begin(request.facts.client, this.#options.clock.now());
    this.#orders.give(request, board, this.#views.found(request, board));
  }

  /** Looks at times while anything waits or runs. */
  #watch(): void {
    if (this.#stopTick !== undefined || this.#requests.count === 0) return;
    this.#stopTick = this.#options.clock.after(TICK_MS, () => {
      this.#stopTick = undefined;
      this.#timeouts.look();
      this.#silence.look();
      this.#pump();
      if (!this.#options.leads()) return;
      this.#moves.continueElsewhere(this.#requests.all.some((request) => request.wantsBoard));
    });
  }

  #refuse(request: FleetRequest, retryAfterMs: number): void {
    const others = this.#requests.count - 1;
    this.#requests.fail(
      request,
      new PynqLlmError(
        'LLM_OVERLOADED',
        `${others} other requests are being served by the fleet or wait, and this ${request.facts.class} one comes last or would take too long.`,
        { context: { retryAfterMs, class: request.facts.class } },
      ),
    );
  }
}
