import type { Bus, LogEntry } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import { ClientAccounts, DEFAULT_LIMITS, EndRate, newCost, schedule } from '../../llm/index.js';
import { type Clock, type DoneEvent, errorToWire, type GenerateEvent } from '../../protocol/index.js';
import { beginning, type Control, type Order, outcome, pack, unpack } from '../messages.js';
import { AnswerLengths } from '../placement/answer-lengths.js';
import type { BoardView } from '../placement/board-view.js';
import { release } from '../placement/release.js';
import { BEGINNINGS, controlOf, ENDS, TOKENS, WORK_QUEUE } from '../subjects.js';
import type { Difference, TokenReader } from '../token-reader.js';
import type { Boards, FleetBoard } from './boards.js';
import { isBoardsFault } from './calls.js';
import { FleetRequest, type RequestFacts, type RequestSink } from './request.js';
import type { StepPrices } from './step-prices.js';

/** Boards in a row that had a request, and it brought no token: it may be what makes them fail. */
const MOST_FRUITLESS = 3;
/** Boards in all, without those that were busy. */
const MOST_DELIVERIES = 16;
/** While requests wait it is looked at their times so often; and words that were lost are said again. */
const TICK_MS = 250;
const REPEAT_MS = 2_000;
/** A board ends what is cancelled with its next step; what it says nothing of for longer ends without it. */
const CANCEL_MS = 10_000;
/** A board that has too much already. */
const BUSY: ReadonlySet<string> = new Set(['LLM_OVERLOADED', 'AGENT_DRAINING']);

export interface DispatchOptions {
  readonly bus: Bus;
  readonly boards: Boards;
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
  /** By the ids that clients chose. */
  readonly #requests = new Map<string, FleetRequest>();
  readonly #accounts = new ClientAccounts(new Map());
  readonly #rate = new EndRate();
  readonly #lengths = new AnswerLengths();
  #number = 0;
  #stopTick: (() => void) | undefined;
  #isPumping = false;
  /** When a board was lost last. */
  #lostAt = Number.NEGATIVE_INFINITY;

  /** Tokens that clients were given; those that came twice, and of them those that were not the same; requests given again. */
  tokens = 0;
  repeated = 0;
  diverged = 0;
  redelivered = 0;

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /** Requests that have not ended. */
  get count(): number {
    return this.#requests.size;
  }

  /** Requests that wait for a board, or that one has. */
  countOf(board: string | undefined): number {
    return [...this.#requests.values()].filter((request) => request.board?.name === board).length;
  }

  find(generation: string): FleetRequest | undefined {
    return this.#requests.get(generation);
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
    this.#requests.set(request.generation, request);
    this.#accounts.enter(facts.client);
    this.#pump();
    isIn = true;
    if (refused !== undefined) sink.onEvent(refused);
  }

  grant(generation: string, credit: number): void {
    const request = this.#requests.get(generation);
    if (request === undefined || credit <= request.credit) return;
    request.credit = credit;
    if (request.state === 'running') this.#tell(request, 'grant');
    else this.#pump();
  }

  /** Ends it within a step; at once where no board has it. */
  cancel(generation: string): void {
    const request = this.#requests.get(generation);
    if (request === undefined) return;
    request.cancelledAt ??= this.#options.clock.now();
    if (request.state === 'running') this.#tell(request, 'cancel');
    else this.#end(request, this.#cancelled(request));
  }

  /** A board came, or changed. */
  boardChanged(): void {
    this.#pump();
  }

  /** What a board had goes on elsewhere. */
  boardGone({ name, owner, record }: FleetBoard): void {
    if (!this.#options.leads()) return;
    const now = this.#options.clock.now();
    // Several at a time are lost by what they share, a switch or a pause of this process, and not by a request.
    const isAlone = now - this.#lostAt > record.leaseMs / 2;
    this.#lostAt = now;
    for (const request of [...this.#requests.values()])
      if (request.board?.name === name && request.board.owner === owner)
        this.#giveAgain(request, `board ${name} was lost`, isAlone);
    this.#pump();
  }

  /** It leads again, and has heard of no board meanwhile. */
  resume(): void {
    const { boards } = this.#options;
    for (const request of [...this.#requests.values()])
      if (request.board !== undefined && boards.get(request.board.name)?.owner !== request.board.owner)
        this.#giveAgain(request, `board ${request.board.name} was lost`, false);
    this.#pump();
  }

  /** Takes an entry of the log. @throws PynqLlmError FLEET_BAD_MESSAGE */
  take({ subject, data }: LogEntry): void {
    const [kind, board, generation] = subject.split('.');
    const request = generation === undefined ? undefined : this.#requests.get(generation);
    if (request === undefined || request.ended) return;
    const isItsBoard = request.board?.name === board;
    // Boards that never had it have nothing to say.
    if (!isItsBoard && !request.had.has(board)) return;
    if (kind === TOKENS) this.#takeToken(request, unpack(outcome, data, 'A token of a board').event, board);
    else if (!isItsBoard) return;
    else if (kind === BEGINNINGS) {
      const { term, delivery, promptTokens } = unpack(beginning, data, 'The beginning of a request');
      if (!this.#isNow(request, term, delivery) || request.begun) return;
      request.begin();
      this.#accounts.charge(request.facts.client, promptTokens);
      request.sink.onBegun(promptTokens);
    } else if (kind === ENDS) {
      const { term, delivery, event } = unpack(outcome, data, 'The end of a request');
      if (this.#isNow(request, term, delivery) && request.state === 'running')
        this.#takeEnd(request, event, board);
    }
  }

  close(): void {
    this.#stopTick?.();
    const error = new PynqLlmError('AGENT_CLOSING', 'The gateway of the fleet is shutting down.').toWire();
    for (const request of [...this.#requests.values()]) this.#end(request, { type: 'failed', error });
  }

  #isNow(request: FleetRequest, term: number, delivery: number): boolean {
    return term === this.#options.term && delivery === request.delivery;
  }

  #takeToken(request: FleetRequest, event: GenerateEvent, board: string): void {
    if (event.type !== 'token') return;
    const isRepeated = event.index < request.generated;
    const { fresh, end, difference } = request.reader.take(event, board);
    if (isRepeated) this.repeated++;
    if (difference !== undefined) this.#tellDifference(request, difference);
    if (fresh.length === 0) return;
    request.servedAt = this.#options.clock.now();
    // A prompt is computed: its board has room for another one.
    if (request.tellsToken()) this.#pump();
    for (const token of fresh) {
      this.tokens++;
      this.#accounts.charge(request.facts.client, 1);
      request.sink.onEvent(token);
    }
    if (end === undefined) return;
    // The end was there before its last token. A board that has the request meanwhile computes for nobody.
    if (request.state === 'running') this.#giveUp(request);
    this.#done(request, end);
    this.#pump();
  }

  /** The same request has the same bits on every board, or one of them is at fault. */
  #tellDifference({ generation, had }: FleetRequest, { index, field, first, second }: Difference): void {
    this.diverged++;
    const what = `The ${field} of token ${index} of ${generation} was ${first.value} by ${first.source ?? 'the client'}, and ${second.value} by board ${second.source}.`;
    const err = new PynqLlmError('FLEET_DIVERGED', what, { context: { boards: [...had, second.source] } });
    this.#options.log.error({ err }, 'boards do not agree');
  }

  #takeEnd(request: FleetRequest, event: GenerateEvent, board: string): void {
    if (event.type === 'failed') {
      const { code } = event.error;
      const isBusy = BUSY.has(code);
      if (isBusy) request.boardIsBusy(this.#options.clock.now());
      if ((isBusy || isBoardsFault(code)) && !request.cancelled)
        this.#giveAgain(request, `board ${board} says: ${event.error.message}`, !isBusy);
      else this.#end(request, event);
    } else if (event.type === 'done') {
      const { end, difference } = request.reader.takeEnd(event, board);
      if (difference !== undefined) this.#tellDifference(request, difference);
      if (end !== undefined) this.#done(request, end);
      else if (event.reason === 'cancelled' && request.cancelled)
        this.#end(request, this.#withWait(request, event));
      else this.#giveAgain(request, `of ${event.tokens} tokens ${request.generated} came`, true);
    }
    this.#pump();
  }

  #done(request: FleetRequest, end: DoneEvent): void {
    if (end.reason === 'end-of-text' || end.reason === 'stop') this.#lengths.ended(end.tokens);
    this.#end(request, this.#withWait(request, end));
  }

  /** Whoever has it, or is about to, is to do nothing more for it. */
  #giveUp(request: FleetRequest): void {
    const { sequence } = request;
    this.#tell(request, 'cancel');
    if (sequence !== undefined) this.#remove(sequence);
  }

  #remove(sequence: number): void {
    this.#options.bus
      .queue(WORK_QUEUE)
      .remove(sequence)
      .catch(() => undefined);
  }

  /** @param counts whether it says something against the request */
  #giveAgain(request: FleetRequest, why: string, counts: boolean): void {
    const { log } = this.#options;
    const { sequence, generation, delivery } = request;
    log.warn({ generation, delivery, tokens: request.generated, why }, 'a request goes on elsewhere');
    // Whoever had it may come back, and is not to begin again.
    if (sequence !== undefined) this.#remove(sequence);
    request.takeBack();
    this.redelivered++;
    if (counts) request.fruitless++;
    if (request.cancelled) this.#end(request, this.#cancelled(request));
    else if (request.fruitless >= MOST_FRUITLESS || delivery - request.busy >= MOST_DELIVERIES)
      this.#fail(
        request,
        new PynqLlmError(
          'FLEET_POISON',
          `Boards ${[...request.had].join(', ')} had the request; the last time ${why}.`,
          {
            context: { deliveries: delivery, tokens: request.generated },
          },
        ),
      );
  }

  /** Gives boards what they have places for, in the order of the policy. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      if (this.#options.leads()) this.#plan();
    } finally {
      this.#isPumping = false;
    }
    this.#watch();
  }

  #plan(): void {
    const { clock, boards } = this.#options;
    const requests = [...this.#requests.values()];
    const waiting = requests.filter(({ state }) => state === 'waiting');
    this.#rate.wait(waiting.length > 0);
    if (waiting.length === 0) return;
    const now = clock.now();
    const able = new Map(waiting.map((request) => [request, this.#boardsFor(request)]));
    for (const request of waiting) {
      const isHomeless = able.get(request)?.length === 0;
      // Boards that were always busy so far are none either.
      if (isHomeless || request.busy === 0)
        request.homelessSince = isHomeless ? (request.homelessSince ?? now) : undefined;
    }
    const places = boards.all.reduce((sum, { record }) => sum + (record.isDraining ? 0 : record.places), 0);
    const plan = schedule({
      now,
      limits: { ...DEFAULT_LIMITS, maxSequences: Math.max(1, places), maxHeld: Number.MAX_SAFE_INTEGER },
      // Steps are the boards' own: here it is only decided who begins.
      maxColumns: 1,
      payingColumns: 1,
      cycles: () => 0,
      freePages: Number.MAX_SAFE_INTEGER,
      pageTokens: 1,
      sequences: requests.map((request) =>
        request.view(request.state === 'running' || (able.get(request)?.length ?? 0) > 0),
      ),
      clients: this.#accounts.all,
      columnsSinceBatch: 0,
      batchServedAt: now,
      turn: undefined,
      lastTurnMs: 0,
      msPerRequest: this.#rate.msPerRequest,
    });
    const byNumber = new Map(requests.map((request) => [request.number, request]));
    for (const { id, retryAfterMs } of plan.refused) {
      const request = byNumber.get(id);
      if (request !== undefined) this.#refuse(request, retryAfterMs);
    }
    const meant = new Map<FleetRequest, string>();
    for (const id of plan.admitted) {
      const request = byNumber.get(id);
      if (request === undefined) continue;
      const { released, meantFor } = release([this.#waiting(request)], this.#views(request, meant));
      const [to] = released;
      request.meantFor = to?.board ?? meantFor.get(id);
      if (to !== undefined) this.#release(request, to.board);
      else if (request.meantFor !== undefined) meant.set(request, request.meantFor);
    }
  }

  /** As who places requests sees it. */
  #waiting(request: FleetRequest) {
    return {
      id: request.number,
      promptTokens: request.columns,
      expectedTokens: this.#expectedLeft(request),
      // Which pages a board holds it does not say yet.
      found: () => 0,
      meantFor: request.meantFor,
    };
  }

  #expectedLeft({ facts, generated }: FleetRequest): number {
    return this.#lengths.expectedLeft(generated, facts.params.sampling.maxTokens);
  }

  /** Boards that could take a request, now or once they have a place. */
  #boardsFor(request: FleetRequest): FleetBoard[] {
    const { boards, clock } = this.#options;
    const now = clock.now();
    return boards
      .with(request.models)
      .filter(({ name, record }) => !record.isDraining && request.mayTry(name, now));
  }

  /**
   * The boards for a request. One that had it before, and failed or was lost, is left out where there is another.
   * @param meant requests that wait for a board to have room
   */
  #views(request: FleetRequest, meant: ReadonlyMap<FleetRequest, string>): BoardView[] {
    const able = this.#boardsFor(request);
    const fresh = able.filter(({ name }) => !request.had.has(name));
    return (fresh.length > 0 ? fresh : able).map((board) => {
      const { name, owner, record } = board;
      const has = [...this.#requests.values()].filter(
        (one) => (one.board?.owner === owner && !one.isStalled) || meant.get(one) === name,
      );
      return {
        ...this.#options.prices.of(request.facts.params.model, board),
        name,
        places: record.places,
        isDraining: false,
        work: has.map((one) => ({
          id: one.number,
          promptLeft: one.promptLeft,
          expectedLeft: this.#expectedLeft(one),
          begun: one.begun,
        })),
      };
    });
  }

  #release(request: FleetRequest, name: string): void {
    const { bus, boards, clock, term } = this.#options;
    const board = boards.get(name);
    if (board === undefined) return;
    const now = clock.now();
    const { params, client, deadlineAt } = request.facts;
    request.give({ name, owner: board.owner });
    request.servedAt = now;
    request.releasedAt ??= now;
    const { delivery } = request;
    this.#accounts.begin(client, now);
    const { service } = params;
    const order: Order = {
      term,
      delivery,
      credit: request.credit,
      given: params.continueFrom?.length ?? 0,
      params: {
        ...params,
        ...(request.generated === 0 ? {} : { continueFrom: [...request.reader.ids] }),
        service: {
          ...service,
          client: namesOf(client),
          ...(deadlineAt === undefined ? {} : { deadlineMs: Math.max(1, deadlineAt - now) }),
        },
      },
    };
    const queue = bus.queue(WORK_QUEUE);
    queue.put(name, `${request.generation}.${term}.${delivery}`, pack(order)).then(
      ({ sequence }) => {
        const isStill = request.delivery === delivery && request.state === 'running' && !request.ended;
        if (isStill) request.sequence = sequence;
        // It has gone on meanwhile; one that has ended was acknowledged by whoever ended it.
        else if (!request.ended) queue.remove(sequence).catch(() => undefined);
      },
      (error: unknown) => {
        if (request.delivery !== delivery || request.state !== 'running' || request.ended) return;
        const isTooLarge = isPynqLlmError(error, 'BUS_PAYLOAD_TOO_LARGE');
        if (isTooLarge) this.#fail(request, error);
        else this.#giveAgain(request, `it could not be queued: ${String(error)}`, false);
        this.#pump();
      },
    );
  }

  #tell({ board, generation, credit }: FleetRequest, kind: Control['kind']): void {
    const { bus, term, leads } = this.#options;
    if (board === undefined || !leads()) return;
    const message: Control =
      kind === 'grant' ? { kind, term, generation, credit } : { kind, term, generation };
    bus.publish(controlOf(board.name), pack(message));
  }

  /** Looks at times while anything waits or runs. */
  #watch(): void {
    if (this.#stopTick !== undefined || this.#requests.size === 0) return;
    this.#stopTick = this.#options.clock.after(TICK_MS, () => {
      this.#stopTick = undefined;
      this.#tick();
      this.#pump();
    });
  }

  #tick(): void {
    const { clock, waitMs, leads } = this.#options;
    const now = clock.now();
    for (const request of [...this.#requests.values()]) {
      const { facts, homelessSince, cancelledAt } = request;
      if (facts.deadlineAt !== undefined && now >= facts.deadlineAt) {
        if (request.state === 'running') this.#tell(request, 'cancel');
        const ms = Math.round(facts.deadlineAt - facts.arrivedAt);
        this.#fail(
          request,
          new PynqLlmError('LLM_DEADLINE', `The request was not done within its ${ms} ms.`),
        );
      } else if (!leads()) {
        // What else there is to do another one may be doing.
      } else if (cancelledAt !== undefined && now - cancelledAt >= CANCEL_MS) {
        this.#giveUp(request);
        this.#end(request, this.#cancelled(request));
      } else if (request.state === 'waiting' && homelessSince !== undefined && now - homelessSince >= waitMs)
        this.#fail(
          request,
          new PynqLlmError(
            'FLEET_NO_BOARDS',
            `For ${waitMs} ms there was no board with model ${facts.params.model} that could take the request.`,
            { context: { model: facts.params.model, tokens: request.generated } },
          ),
        );
      else if (request.state === 'running' && now - request.servedAt >= REPEAT_MS) {
        // A word that was lost is said again: both may be, without harm.
        if (request.cancelled) this.#tell(request, 'cancel');
        else this.#tell(request, 'grant');
      }
    }
  }

  #refuse(request: FleetRequest, retryAfterMs: number): void {
    const others = this.#requests.size - 1;
    this.#fail(
      request,
      new PynqLlmError(
        'LLM_OVERLOADED',
        `${others} other requests are being served by the fleet or wait, and this ${request.facts.class} one comes last or would take too long.`,
        { context: { retryAfterMs, class: request.facts.class } },
      ),
    );
  }

  #fail(request: FleetRequest, error: PynqLlmError): void {
    this.#end(request, { type: 'failed', error: errorToWire(error, 'AGENT_INTERNAL') });
  }

  #end(request: FleetRequest, event: GenerateEvent): void {
    if (request.ended) return;
    request.ended = true;
    this.#requests.delete(request.generation);
    this.#accounts.leave(request.facts.client);
    if (request.releasedAt !== undefined) this.#rate.end(this.#options.clock.now());
    request.sink.onEvent(event);
  }

  /** The time that it waited here counts. */
  #withWait({ facts, releasedAt }: FleetRequest, done: DoneEvent): DoneEvent {
    const waitedMs = (releasedAt ?? facts.arrivedAt) - facts.arrivedAt;
    return { ...done, timing: { ...done.timing, queuedMs: done.timing.queuedMs + waitedMs } };
  }

  #cancelled({ facts, generated }: FleetRequest): DoneEvent {
    const queuedMs = this.#options.clock.now() - facts.arrivedAt;
    const promptTokens = facts.params.prompt.tokens.length;
    return {
      type: 'done',
      reason: 'cancelled',
      text: '',
      tokens: generated,
      timing: { queuedMs, prefillMs: 0, decodeMs: 0, promptTokens, generatedTokens: generated },
      counters: newCost(),
    };
  }
}

/** A path of at most four names, as requests may have it. */
function namesOf(path: readonly string[]): string[] {
  const names = path.length <= 4 ? path : [...path.slice(0, 3), path.slice(3).join(' / ')];
  return names.filter((name) => name !== '').map((name) => name.slice(0, 200));
}
