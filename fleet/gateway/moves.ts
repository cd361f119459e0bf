import type { Log } from '../../listen/index.js';
import type { BoardView } from '../placement/board-view.js';
import { move } from '../placement/move.js';
import { type Move, steal } from '../placement/steal.js';
import type { BoardViews } from './board-views.js';
import type { Boards, FleetBoard } from './boards.js';
import type { Orders } from './orders.js';
import type { FleetRequest } from './request.js';
import type { Requests } from './requests.js';

/** Requests that are moved at a time: it is looked again soon. */
const MOST_AT_A_TIME = 8;
/** Times that a request that runs is moved to a board that has less to do. */
const MOST_MOVES = 4;

interface MovesOptions {
  readonly requests: Requests;
  readonly orders: Orders;
  readonly views: BoardViews;
  readonly boards: Boards;
  readonly log: Log;
}

/** Takes requests from boards that live and gives them to others: what has not begun at once, what runs with its tokens so far. */
export class Moves {
  readonly #options: MovesOptions;
  /** Requests that were moved. */
  count = 0;

  constructor(options: MovesOptions) {
    this.#options = options;
  }

  /** Takes back what has not begun and begins much earlier elsewhere. */
  steal(): void {
    this.#each(({ begun }) => !begun, steal);
  }

  /**
   * Has what runs go on elsewhere where that pays.
   * @param isLoaded whether others wait for the places that there are: then only boards that drain are left
   */
  continueElsewhere(isLoaded: boolean): void {
    const { requests, orders, boards } = this.#options;
    const drains = ({ board }: FleetRequest) =>
      board !== undefined && boards.get(board.name)?.record.isDraining;
    // It waits for its client: any board may have it once that goes on.
    for (const request of requests.all)
      if (request.isStalled && drains(request) && isMovable(request)) {
        orders.leave(request);
        this.count++;
      }
    this.#each(
      (request) => request.begun && (drains(request) || (!isLoaded && request.moves < MOST_MOVES)),
      move,
    );
  }

  #each(
    isMeant: (request: FleetRequest) => boolean | undefined,
    find: (
      boards: readonly BoardView[],
      promptOn: (id: number, board: string) => number | undefined,
    ) => Move | undefined,
  ): void {
    const { requests, views } = this.#options;
    for (let moved = 0; moved < MOST_AT_A_TIME; moved++) {
      const meant = new Map(
        requests.all
          .filter((request) => isMovable(request) && isMeant(request))
          .map((request) => [request.number, request]),
      );
      const models = new Set([...meant.values()].map(({ facts }) => facts.params.model));
      const boardsOf = new Map<FleetRequest, readonly FleetBoard[]>();
      const freshFor = (request: FleetRequest) => {
        const fresh = boardsOf.get(request) ?? views.freshFor(request);
        boardsOf.set(request, fresh);
        return fresh;
      };
      const found = [...models]
        .map((model) =>
          find(views.viewsOf(model), (id, board) => this.#promptOn(meant.get(id), model, board, freshFor)),
        )
        .find((one) => one !== undefined);
      if (found === undefined) return;
      this.#move(meant.get(found.id)!, found);
    }
  }

  /** Tokens that a board would have to compute of a request; undefined where it may not have it. */
  #promptOn(
    request: FleetRequest | undefined,
    model: string,
    name: string,
    freshFor: (request: FleetRequest) => readonly FleetBoard[],
  ): number | undefined {
    const { views } = this.#options;
    if (request === undefined || request.facts.params.model !== model) return undefined;
    const board = freshFor(request).find((one) => one.name === name);
    return board && Math.max(1, request.columns - views.found(request, board));
  }

  #move(request: FleetRequest, { from, to }: Move): void {
    const { orders, boards, views, log } = this.#options;
    const board = boards.get(to);
    if (board === undefined) return;
    const { generation, generated: tokens, begun } = request;
    log.info({ generation, from, to, tokens, begun }, 'a request goes on on another board');
    orders.leave(request);
    orders.give(request, board, views.found(request, board));
    this.count++;
  }
}

/** Whether a request can be taken from its board now: where its order is, is known, and nothing of it would be lost. */
function isMovable(request: FleetRequest): boolean {
  const { state, cancelled, sequence, begun, isBeamSearch } = request;
  return state === 'running' && !cancelled && sequence !== undefined && !(begun && isBeamSearch);
}
