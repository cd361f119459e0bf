import { DEFAULT_LIMITS, schedule } from '../../llm/index.js';
import type { FleetRequest } from './request.js';
import type { Requests } from './requests.js';

interface Admission {
  readonly now: number;
  /** Requests that all boards together want in hand. */
  readonly places: number;
  /** Whether a board could take a request that waits. */
  readonly hasBoard: (request: FleetRequest) => boolean;
}

/** Who is next, and who is refused, by the policy of a board: classes, clients' shares and deadlines. */
export function admit(
  requests: Requests,
  { now, places, hasBoard }: Admission,
): Pick<ReturnType<typeof schedule>, 'admitted' | 'refused'> {
  return schedule({
    now,
    limits: { ...DEFAULT_LIMITS, maxSequences: Math.max(1, places), maxHeld: Number.MAX_SAFE_INTEGER },
    // Steps are the boards' own: here it is only decided who begins.
    maxColumns: 1,
    payingColumns: 1,
    cycles: () => 0,
    freePages: Number.MAX_SAFE_INTEGER,
    pageTokens: 1,
    sequences: requests.all.map((request) => request.view(request.state === 'running' || hasBoard(request))),
    clients: requests.accounts.all,
    columnsSinceBatch: 0,
    batchServedAt: now,
    turn: undefined,
    lastTurnMs: 0,
    msPerRequest: requests.rate.msPerRequest,
  });
}
