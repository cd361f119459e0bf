import { PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import type { Clock } from '../../protocol/index.js';
import type { Boards, FleetBoard } from './boards.js';
import type { Orders } from './orders.js';
import type { FleetRequest } from './request.js';
import type { Requests } from './requests.js';

/** Boards in a row that had a request, and it brought no token: it may be what makes them fail. */
const MOST_FRUITLESS = 3;
/** Boards in all, without those that were busy, or that it was taken from. */
const MOST_DELIVERIES = 16;

interface RedeliveryOptions {
  readonly boards: Pick<Boards, 'count'>;
  readonly requests: Requests;
  readonly orders: Orders;
  readonly clock: Clock;
  readonly log: Log;
}

/** Requests whose board was lost, or failed, wait again for another one. */
export class Redelivery {
  readonly #options: RedeliveryOptions;
  /** When a board was lost last. */
  #lostAt = Number.NEGATIVE_INFINITY;
  /** Requests given again. */
  count = 0;

  constructor(options: RedeliveryOptions) {
    this.#options = options;
  }

  /** What a board had goes on elsewhere. @param hasLeft by its own will, which says nothing of what it had */
  boardGone({ name, owner, record }: FleetBoard, hasLeft: boolean): void {
    const now = this.#options.clock.now();
    // Several at a time are lost by what they share, a switch or a pause of this process, and not by a request.
    const isAlone = now - this.#lostAt > record.leaseMs / 2;
    if (!hasLeft) this.#lostAt = now;
    for (const request of this.#options.requests.all)
      if (request.board?.name === name && request.board.owner === owner)
        this.giveAgain(request, `board ${name} ${hasLeft ? 'has left' : 'was lost'}`, isAlone && !hasLeft);
  }

  /** What boards had that left without notice goes on elsewhere. */
  lookForBoards(boards: Boards): void {
    for (const request of this.#options.requests.all) {
      const { board } = request;
      if (board !== undefined && boards.get(board.name)?.owner !== board.owner)
        this.giveAgain(request, `board ${board.name} was lost`, false);
    }
  }

  /** @param counts whether it says something against the request */
  giveAgain(request: FleetRequest, why: string, counts: boolean): void {
    const { log, orders, requests, boards } = this.#options;
    const { generation, deliveries, trace, generated: tokens } = request;
    log.warn({ generation, trace, deliveries, tokens, why }, 'a request goes on elsewhere');
    // Whoever had it may come back, and is not to begin again.
    orders.remove(request);
    boards.count(request.board?.name, 'redelivered');
    request.takeBack(true);
    this.count++;
    if (counts) request.fruitless++;
    if (request.cancelled) requests.endCancelled(request);
    else if (
      request.fruitless >= MOST_FRUITLESS ||
      deliveries - request.busy - request.moves >= MOST_DELIVERIES
    )
      requests.fail(
        request,
        new PynqLlmError(
          'FLEET_POISON',
          `Boards ${[...request.had].join(', ')} had the request; the last time ${why}.`,
          {
            context: { deliveries, tokens: request.generated },
          },
        ),
      );
  }
}
