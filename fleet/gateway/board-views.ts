import type { Clock } from '../../protocol/index.js';
import type { BoardView, Waiting } from '../placement/board-view.js';
import type { Boards, FleetBoard } from './boards.js';
import type { FleetRequest } from './request.js';
import type { Requests } from './requests.js';
import type { StepPrices } from './step-prices.js';

interface BoardViewsOptions {
  readonly boards: Boards;
  readonly requests: Requests;
  readonly prices: StepPrices;
  readonly clock: Clock;
}

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
      // Which pages a board holds it does not say yet.
      found: () => 0,
      meantFor: request.meantFor,
    };
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
   * The boards for a request. One that had it before, and failed or was lost, is left out where there is another.
   * @param meant requests that wait for a board to have room
   */
  viewsFor(request: FleetRequest, meant: ReadonlyMap<FleetRequest, string>): BoardView[] {
    const able = this.boardsFor(request);
    const fresh = able.filter(({ name }) => !request.had.has(name));
    return (fresh.length > 0 ? fresh : able).map((board) =>
      this.#view(request.facts.params.model, board, meant),
    );
  }

  #view(model: string, board: FleetBoard, meant: ReadonlyMap<FleetRequest, string>): BoardView {
    const { requests, prices } = this.#options;
    const { name, owner, record } = board;
    const has = requests.all.filter(
      (one) => (one.board?.owner === owner && !one.isStalled) || meant.get(one) === name,
    );
    return {
      ...prices.of(model, board),
      name,
      places: record.places,
      isDraining: record.isDraining,
      work: has.map((one) => ({
        id: one.number,
        promptLeft: one.promptLeft,
        expectedLeft: requests.expectedLeft(one),
        begun: one.begun,
      })),
    };
  }
}
