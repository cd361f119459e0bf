import { PynqLlmError } from '../../errors/index.js';
import type { Clock } from '../../protocol/index.js';
import type { Orders } from './orders.js';
import type { FleetRequest } from './request.js';
import type { Requests } from './requests.js';

/** Words that were lost are said again so often. */
const REPEAT_MS = 2_000;
/** A board ends what is cancelled with its next step; what it says nothing of for longer ends without it. */
const CANCEL_MS = 10_000;

interface TimeoutsOptions {
  readonly requests: Requests;
  readonly orders: Orders;
  readonly clock: Clock;
  /** How long a request waits where no board could take it. */
  readonly waitMs: number;
  /** Whether this gateway leads now. */
  readonly leads: () => boolean;
}

/** Ends requests that have waited for too long, and says again what boards may not have heard. */
export class Timeouts {
  readonly #options: TimeoutsOptions;

  constructor(options: TimeoutsOptions) {
    this.#options = options;
  }

  /** Looks at all requests' times. */
  look(): void {
    const now = this.#options.clock.now();
    for (const request of this.#options.requests.all) this.#look(request, now);
  }

  #look(request: FleetRequest, now: number): void {
    const { requests, orders, waitMs, leads } = this.#options;
    const { facts, homelessSince, cancelledAt, state } = request;
    if (request.leaving.size > 0) orders.cancelLeaving(request);
    if (facts.deadlineAt !== undefined && now >= facts.deadlineAt) {
      if (state === 'running') orders.cancel(request);
      const ms = Math.round(facts.deadlineAt - facts.arrivedAt);
      requests.fail(
        request,
        new PynqLlmError('LLM_DEADLINE', `The request was not done within its ${ms} ms.`),
      );
    } else if (!leads()) {
      // What else there is to do another one may be doing.
    } else if (cancelledAt !== undefined && now - cancelledAt >= CANCEL_MS) {
      orders.giveUp(request);
      requests.endCancelled(request);
    } else if (state === 'waiting' && homelessSince !== undefined && now - homelessSince >= waitMs)
      requests.fail(
        request,
        new PynqLlmError(
          'FLEET_NO_BOARDS',
          `For ${waitMs} ms there was no board with model ${facts.params.model} that could take the request.`,
          { context: { model: facts.params.model, tokens: request.generated } },
        ),
      );
    else if (state === 'running' && now - request.servedAt >= REPEAT_MS) {
      // A word that was lost is said again: both may be, without harm.
      if (request.cancelled) orders.cancel(request);
      else orders.grant(request);
    }
  }
}
