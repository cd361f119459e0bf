import type { Bus } from '../../bus/index.js';
import type { Clock } from '../../protocol/index.js';
import { type Control, type Given, type Order, pack } from '../messages.js';
import { controlOf, GIVEN, LOG, WORK_QUEUE } from '../subjects.js';
import type { FleetBoard } from './boards.js';
import type { FleetRequest } from './request.js';

/** A board that a request was taken from is told for so long to end it; most say at once that they have. */
const LEAVE_MS = 30_000;
const STORE_MS = 5_000;

interface OrdersOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  /** Of this gateway: boards do nothing that one says of an older term. */
  readonly term: number;
  /** Whether it leads now. */
  readonly leads: () => boolean;
  /** Told where a request that a board has could not be queued for it, or not be written down as its. */
  readonly onRefused: (request: FleetRequest, error: unknown) => void;
}

/** What boards are told: which requests they have, and what is new of these. Who has a request is in the log, too. */
export class Orders {
  readonly #options: OrdersOptions;
  /** Numbered throughout: a client may use the id of a request that was refused again, and brokers and boards know deliveries by id and number. */
  #deliveries = 0;

  constructor(options: OrdersOptions) {
    this.#options = options;
  }

  /** A board has the request from now on. @param found tokens of its prompt whose pages are there */
  give(request: FleetRequest, { name, owner }: FleetBoard, found: number): void {
    const { bus, clock, term, onRefused } = this.#options;
    const now = clock.now();
    request.give({ name, owner }, ++this.#deliveries, found);
    request.servedAt = now;
    request.releasedAt ??= now;
    const { delivery, generation } = request;
    const isStill = () => request.delivery === delivery && request.state === 'running' && !request.ended;
    const refuse = (error: unknown) => {
      if (isStill()) onRefused(request, error);
    };
    const id = `${generation}.${term}.${delivery}`;
    // The next gateway counts nothing of boards that are not named. What a board says comes after it: first it has to hear of the request.
    const named: Given = { term, delivery, board: name };
    bus.log(LOG).append(`${GIVEN}.${generation}`, id, pack(named), { timeoutMs: STORE_MS }).catch(refuse);
    const queue = bus.queue(WORK_QUEUE);
    queue.put(name, id, pack(orderOf(request, term, now))).then(({ sequence }) => {
      if (isStill()) request.sequence = sequence;
      // It has gone on meanwhile; one that has ended was acknowledged by whoever ended it.
      else if (!request.ended) queue.remove(sequence).catch(() => undefined);
    }, refuse);
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
    this.#tell(request, { kind: 'grant', term: this.#options.term, generation, credit });
  }

  /** The board that has it ends it within a step. */
  cancel(request: FleetRequest): void {
    const { generation, delivery } = request;
    if (delivery > 0) this.#tell(request, this.#cancel(generation, delivery));
  }

  /** A board that lives has it no more: it is to end it, and is told so again as it may not have begun yet. */
  leave(request: FleetRequest): void {
    const { board, delivery } = request;
    if (board === undefined) return;
    this.giveUp(request);
    request.leaving.set(board.name, { delivery, until: this.#options.clock.now() + LEAVE_MS });
    request.takeBack(false);
    request.moves++;
  }

  /** Boards that it was taken from are told again. */
  cancelLeaving({ generation, leaving }: FleetRequest): void {
    const now = this.#options.clock.now();
    for (const [board, { delivery, until }] of leaving)
      if (now < until) this.#publish(board, this.#cancel(generation, delivery));
      else leaving.delete(board);
  }

  /** Whoever has it, or is about to, is to do nothing more for it. */
  giveUp(request: FleetRequest): void {
    this.cancel(request);
    this.remove(request);
  }

  #tell({ board }: FleetRequest, message: Control): void {
    if (board !== undefined) this.#publish(board.name, message);
  }

  #cancel(generation: string, delivery: number): Control {
    return { kind: 'cancel', term: this.#options.term, generation, delivery };
  }

  #publish(board: string, message: Control): void {
    const { bus, leads } = this.#options;
    if (leads()) bus.publish(controlOf(board), pack(message));
  }
}

function orderOf(request: FleetRequest, term: number, now: number): Order {
  const { params, client, deadlineAt } = request.facts;
  const { service } = params;
  return {
    term,
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
