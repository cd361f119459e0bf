import type { LogEntry } from '../../bus/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import type { Clock, GenerateEvent } from '../../protocol/index.js';
import { beginning, outcome, unpack } from '../messages.js';
import { BEGINNINGS, ENDS, TOKENS } from '../subjects.js';
import type { Difference } from '../token-reader.js';
import type { BoardViews } from './board-views.js';
import type { Boards } from './boards.js';
import { isBoardsFault } from './calls.js';
import type { Orders } from './orders.js';
import type { Redelivery } from './redelivery.js';
import type { FleetRequest } from './request.js';
import type { Requests } from './requests.js';

/** A board that has too much already. */
const BUSY: ReadonlySet<string> = new Set(['LLM_OVERLOADED', 'AGENT_DRAINING']);

/** What a board has no room for may fit another one. */
const TOO_LONG = 'LLM_KV_TOO_LONG';
/** What a board says of tokens that it cannot go on after. */
const NOT_AFTER: ReadonlySet<string> = new Set([
  'LLM_TOKEN_RANGE',
  'LLM_CONTINUE_FORBIDDEN',
  'LLM_CONTINUE_ENDED',
]);

interface OutcomesOptions {
  readonly boards: Pick<Boards, 'count'>;
  readonly requests: Requests;
  readonly orders: Orders;
  readonly redelivery: Redelivery;
  readonly views: Pick<BoardViews, 'boardsFor'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Of this gateway: boards may still tell of what one before gave them. */
  readonly term: number;
  /** Told when a board may have room. */
  readonly onRoom: () => void;
}

/** What boards say of requests, in the log: that they began, tokens, ends. Each token is handed on once. */
export class Outcomes {
  readonly #options: OutcomesOptions;

  /** Tokens that clients were given; those that came twice, and of them those that were not the same. */
  tokens = 0;
  repeated = 0;
  diverged = 0;

  constructor(options: OutcomesOptions) {
    this.#options = options;
  }

  /** Takes an entry of the log. @throws PynqLlmError FLEET_BAD_MESSAGE */
  take({ subject, data }: LogEntry): void {
    const { requests } = this.#options;
    const [kind, board, generation] = subject.split('.');
    const request = generation === undefined ? undefined : requests.find(generation);
    if (request === undefined || request.ended) return;
    const isItsBoard = request.board?.name === board;
    // Boards that never had it have nothing to say.
    if (!isItsBoard && !request.had.has(board)) return;
    if (kind === TOKENS) this.#takeToken(request, unpack(outcome, data, 'A token of a board').event, board);
    else if (!isItsBoard) this.#takeLeft(request, kind, data, board);
    else if (kind === BEGINNINGS) {
      const { term, delivery, promptTokens } = unpack(beginning, data, 'The beginning of a request');
      if (!this.#isNow(request, term, delivery) || request.begun) return;
      request.begin();
      requests.accounts.charge(request.facts.client, promptTokens);
      request.sink.onBegun(promptTokens);
    } else if (kind === ENDS) {
      const { term, delivery, event } = unpack(outcome, data, 'The end of a request');
      if (this.#isNow(request, term, delivery) && request.state === 'running')
        this.#takeEnd(request, event, board);
    }
  }

  #isNow(request: FleetRequest, term: number, delivery: number): boolean {
    return term === this.#options.term && delivery === request.delivery;
  }

  /** Of a board that has it no more only that it has ended what it was to end is of interest. */
  #takeLeft({ leaving }: FleetRequest, kind: string | undefined, data: Uint8Array, board: string): void {
    const left = leaving.get(board);
    if (left === undefined || kind !== ENDS) return;
    if (unpack(outcome, data, 'The end of a request').delivery === left.delivery) leaving.delete(board);
  }

  #takeToken(request: FleetRequest, event: GenerateEvent, board: string): void {
    const { requests, orders, boards, clock, onRoom } = this.#options;
    if (event.type !== 'token') return;
    // No board is told to compute as many: what one says of them all the same is kept for nobody.
    const { maxTokens = Number.POSITIVE_INFINITY } = request.facts.params.sampling;
    if (event.index >= Math.min(request.credit, maxTokens)) return;
    const isRepeated = event.index < request.generated;
    const { fresh, end, difference } = request.reader.take(event, board);
    if (isRepeated) this.repeated++;
    if (difference !== undefined) this.#tellDifference(request, difference);
    if (fresh.length === 0) return;
    request.servedAt = clock.now();
    // A prompt is computed: its board has room for another one.
    if (request.tellsToken()) onRoom();
    for (const token of fresh) {
      this.tokens++;
      boards.count(board, 'tokens');
      requests.accounts.charge(request.facts.client, 1);
      request.sink.onEvent(token);
    }
    if (end === undefined) return;
    // The end was there before its last token. A board that has the request meanwhile computes for nobody.
    if (request.state === 'running') orders.giveUp(request);
    requests.done(request, end);
    onRoom();
  }

  #takeEnd(request: FleetRequest, event: GenerateEvent, board: string): void {
    const { requests, redelivery, clock, onRoom } = this.#options;
    if (event.type === 'failed') {
      const { code } = event.error;
      const isBusy = BUSY.has(code);
      if (isBusy) request.boardIsBusy(clock.now());
      if ((isBusy || isBoardsFault(code)) && !request.cancelled)
        redelivery.giveAgain(request, `board ${board} says: ${event.error.message}`, !isBusy);
      else if (code === TOO_LONG && !request.cancelled && this.#hasOther(request, board))
        redelivery.giveAgain(request, `board ${board} says: ${event.error.message}`, false);
      else if (NOT_AFTER.has(code) && request.hasTokensOfBoards)
        requests.fail(request, this.#refusedTokens(request, board, event.error.message));
      else requests.end(request, event);
    } else if (event.type === 'done') {
      const { end, difference } = request.reader.takeEnd(event, board);
      if (difference !== undefined) this.#tellDifference(request, difference);
      const isCancelled = event.reason === 'cancelled' && request.cancelled;
      if (end !== undefined || isCancelled) requests.done(request, end ?? event);
      else redelivery.giveAgain(request, `of ${event.tokens} tokens ${request.generated} came`, true);
    }
    onRoom();
  }

  /** Whether there is a board that has not had it yet. */
  #hasOther(request: FleetRequest, board: string): boolean {
    const able = this.#options.views.boardsFor(request);
    return able.some(({ name }) => name !== board && !request.failedOn.has(name));
  }

  /** It is not the client's doing that a board cannot go on after what others told. */
  #refusedTokens({ had, generated }: FleetRequest, board: string, message: string): PynqLlmError {
    this.diverged++;
    const what = `Board ${board} cannot go on after the ${generated} tokens that ${[...had].join(', ')} told: ${message}`;
    const error = new PynqLlmError('FLEET_DIVERGED', what, { context: { boards: [...had, board] } });
    this.#options.log.error({ err: error }, 'boards do not agree');
    return error;
  }

  /** The same request has the same bits on every board, or one of them is at fault. */
  #tellDifference({ generation, had }: FleetRequest, { index, field, first, second }: Difference): void {
    this.diverged++;
    const what = `The ${field} of token ${index} of ${generation} was ${first.value} by ${first.source ?? 'the client'}, and ${second.value} by board ${second.source}.`;
    const err = new PynqLlmError('FLEET_DIVERGED', what, { context: { boards: [...had, second.source] } });
    this.#options.log.error({ err }, 'boards do not agree');
  }
}
