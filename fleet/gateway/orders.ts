import type { Bus } from '../../bus/index.js';
import type { Clock } from '../../protocol/index.js';
import { type Control, type Order, pack } from '../messages.js';
import { controlOf, WORK_QUEUE } from '../subjects.js';
import type { FleetBoard } from './boards.js';
import type { FleetRequest } from './request.js';

interface OrdersOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  /** Told where a request that a board has could not be queued for it. */
  readonly onRefused: (request: FleetRequest, error: unknown) => void;
}

/** What boards are told: which requests they have, and what is new of these. */
export class Orders {
  readonly #options: OrdersOptions;

  constructor(options: OrdersOptions) {
    this.#options = options;
  }

  /** A board has the request from now on. */
  give(request: FleetRequest, { name, owner }: FleetBoard): void {
    const { bus, clock, onRefused } = this.#options;
    const now = clock.now();
    request.give({ name, owner });
    request.servedAt = now;
    request.releasedAt ??= now;
    const { delivery } = request;
    const queue = bus.queue(WORK_QUEUE);
    queue.put(name, `${request.generation}.${delivery}`, pack(orderOf(request, now))).then(
      ({ sequence }) => {
        const isStill = request.delivery === delivery && request.state === 'running' && !request.ended;
        if (isStill) request.sequence = sequence;
        // It has gone on meanwhile; one that has ended was acknowledged by whoever ended it.
        else if (!request.ended) queue.remove(sequence).catch(() => undefined);
      },
      (error: unknown) => {
        if (request.delivery === delivery && request.state === 'running' && !request.ended)
          onRefused(request, error);
      },
    );
  }

  /** Nobody is to begin with it any more. */
  remove({ sequence }: FleetRequest): void {
    if (sequence === undefined) return;
    const queue = this.#options.bus.queue(WORK_QUEUE);
    queue.remove(sequence).catch(() => undefined);
  }

  /** How far it may go. */
  grant(request: FleetRequest): void {
    const { generation, credit } = request;
    this.#tell(request, { kind: 'grant', generation, credit });
  }

  /** The board that has it ends it within a step. */
  cancel(request: FleetRequest): void {
    this.#tell(request, { kind: 'cancel', generation: request.generation });
  }

  /** Whoever has it, or is about to, is to do nothing more for it. */
  giveUp(request: FleetRequest): void {
    this.cancel(request);
    this.remove(request);
  }

  #tell({ board }: FleetRequest, message: Control): void {
    if (board !== undefined) this.#options.bus.publish(controlOf(board.name), pack(message));
  }
}

function orderOf(request: FleetRequest, now: number): Order {
  const { params, client, deadlineAt } = request.facts;
  const { service } = params;
  return {
    delivery: request.delivery,
    credit: request.credit,
    given: params.continueFrom?.length ?? 0,
    params: {
      ...params,
      ...(request.generated === 0 ? {} : { continueFrom: [...request.reader.ids] }),
      service: {
        ...service,
        ...request.spans.context,
        client: namesOf(client),
        ...(deadlineAt === undefined ? {} : { deadlineMs: Math.max(1, deadlineAt - now) }),
      },
    },
  };
}

/** A path of at most four names, as requests may have it. */
function namesOf(path: readonly string[]): string[] {
  const names = path.length <= 4 ? path : [...path.slice(0, 3), path.slice(3).join(' / ')];
  return names.filter((name) => name !== '').map((name) => name.slice(0, 200));
}
