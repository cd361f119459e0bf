import { PAGE_TOKENS } from '../../llm/index.js';
import type { Clock } from '../../protocol/index.js';
import { type BoardView, promptLeftOn, type Waiting } from '../placement/board-view.js';
import type { BoardPages } from './board-pages.js';
import type { Boards, FleetBoard } from './boards.js';
import type { FleetRequest } from './request.js';
import type { Requests } from './requests.js';
import type { StepPrices } from './step-prices.js';

interface BoardViewsOptions {
  readonly boards: Boards;
  readonly pages: BoardPages;
  readonly requests: Requests;
  readonly prices: StepPrices;
  readonly clock: Clock;
}

/** Requests that wait for a board to have room, with its name. */
type Meant = ReadonlyMap<FleetRequest, string>;
const NOBODY: Meant = new Map();

/** Boards and requests as who places requests sees them. */
export class BoardViews {
  readonly #options: BoardViewsOptions;

  constructor(options: BoardViewsOptions) {
    this.#options = options;
  }

  /** A request that no board has. */
  waiting(request: FleetRequest): Waiting {
    return {
      id: request.number,
      promptTokens: request.columns,
      expectedTokens: this.#options.requests.expectedLeft(request),
      found: (name) => this.found(request, this.#options.boards.get(name)),
      meantFor: request.meantFor,
    };
  }

  /** Tokens of a request whose pages a board says that it keeps. */
  found(request: FleetRequest, board: FleetBoard | undefined): number {
    if (board === undefined) return 0;
    return PAGE_TOKENS * this.#options.pages.count(board, request.facts.params.model, request.pages);
  }

  /** Boards that could take a request, now or once they have a place. */
  boardsFor(request: FleetRequest): FleetBoard[] {
    const { boards, clock } = this.#options;
    const now = clock.now();
    return boards
      .with(request.models)
      .filter(({ name, record }) => !record.isDraining && request.mayTry(name, now));
  }

  /**
   * Those of them that are best for it: one that had it before, and failed or was lost, is left out where there is another, and so is one that
   * was silent.
   */
  freshFor(request: FleetRequest): FleetBoard[] {
    const { boards, clock } = this.#options;
    const now = clock.now();
    const able = this.boardsFor(request);
    const fresh = able.filter(
      ({ name, owner }) => !request.failedOn.has(name) && !boards.isResting(owner, now),
    );
    return fresh.length > 0 ? fresh : able;
  }

  /** The boards for a request. @param meant requests that count as if their boards had them */
  viewsFor(request: FleetRequest, meant: Meant): BoardView[] {
    return this.freshFor(request).map((board) => this.#view(request.facts.params.model, board, meant));
  }

  /** All boards that have a model, those that drain among them. */
  viewsOf(model: string): BoardView[] {
    return this.#options.boards.with([model]).map((board) => this.#view(model, board, NOBODY));
  }

  #view(model: string, board: FleetBoard, meant: Meant): BoardView {
    const { requests, prices } = this.#options;
    const { name, owner, record } = board;
    const isThere = (one: FleetRequest) => one.board?.owner === owner;
    const has = requests.all.filter((one) => (isThere(one) && !one.isStalled) || meant.get(one) === name);
    const view = { ...prices.of(model, board), name, places: record.places, isDraining: record.isDraining };
    return {
      ...view,
      work: has.map((one) => ({
        id: one.number,
        promptLeft: isThere(one) ? one.promptLeft : promptLeftOn({ ...view, work: [] }, this.waiting(one)),
        expectedLeft: requests.expectedLeft(one),
        begun: one.begun,
      })),
    };
  }
}
