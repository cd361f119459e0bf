import { AnswerLengths, type BoardView, release, steal, type Waiting } from '../../fleet/index.js';
import { BoardQueue, type RoutedRequest } from './board-queue.js';
import { VirtualClock } from './virtual-clock.js';

/** A board of the simulation. */
export interface RoutedBoard {
  readonly stepMs: (columns: number, logits?: number) => number;
  readonly promptColumns: number;
  readonly places: number;
  readonly mostPages: number;
}

/** Who gets a request at once, by what a policy sees; or the fleet's own placement, which holds requests back. */
export type Policy = 'least loaded' | 'longest prefix' | 'predicted cycles';

export interface Routed {
  /** Milliseconds to the first token, by request. */
  readonly firstTokenMs: readonly number[];
  /** What each board computed, in milliseconds, and how many requests it got. */
  readonly busyMs: readonly number[];
  readonly served: readonly number[];
}

/** Serves requests by a policy and a virtual clock. */
export function route(
  requests: readonly RoutedRequest[],
  boards: readonly RoutedBoard[],
  policy: Policy,
): Routed {
  const clock = new VirtualClock();
  const lengths = new AnswerLengths();
  const first = new Map<number, number>();
  const byId = new Map(requests.map((request) => [request.id, request]));
  let waiting: (RoutedRequest & { readonly meantFor?: string })[] = [];
  const onFirst = ({ id, at }: RoutedRequest) => first.set(id, clock.now - at);
  const onEnd = ({ answerTokens }: RoutedRequest) => lengths.ended(answerTokens);
  const queues = boards.map(
    ({ stepMs, promptColumns, places, mostPages }) =>
      new BoardQueue(clock, stepMs, promptColumns, places, mostPages, onFirst, onEnd, () => dispatch()),
  );
  const views = (): BoardView[] =>
    boards.map((board, i) => ({
      ...board,
      name: String(i),
      isDraining: false,
      work: queues[i]!.work(lengths),
    }));
  const asked = (request: (typeof waiting)[0]): Waiting => ({
    ...request,
    expectedTokens: lengths.expectedLeft(0),
    found: (board) => queues[Number(board)]!.found(request),
  });
  const dispatch = () => {
    if (policy !== 'predicted cycles' || waiting.length === 0) return;
    const { released, meantFor } = release(waiting.map(asked), views());
    const gone = new Map(released.map(({ id, board }) => [id, Number(board)]));
    const going = waiting.filter(({ id }) => gone.has(id));
    waiting = waiting
      .filter(({ id }) => !gone.has(id))
      .map((request) => ({ ...request, meantFor: meantFor.get(request.id) ?? '' }));
    for (const request of going) queues[gone.get(request.id)!]!.add(request);
    const move = steal(views(), (id, board) =>
      Math.max(1, byId.get(id)!.promptTokens - queues[Number(board)]!.found(byId.get(id)!)),
    );
    if (move !== undefined) {
      queues[Number(move.from)]!.remove(move.id);
      queues[Number(move.to)]!.add(byId.get(move.id)!);
    }
  };
  const arrive = (request: RoutedRequest) => {
    if (policy === 'predicted cycles') {
      waiting.push(request);
      return dispatch();
    }
    const score = (queue: BoardQueue) =>
      policy === 'least loaded' ? [queue.jobs.length, 0] : [-queue.found(request), queue.jobs.length];
    const chosen = queues.reduce((a, b) => (isLess(score(b), score(a)) ? b : a));
    chosen.add(request);
  };
  for (const request of requests) clock.set(request.at, () => arrive(request));
  clock.run();
  return {
    firstTokenMs: requests.map(({ id }) => first.get(id)!),
    busyMs: queues.map(({ busyMs }) => busyMs),
    served: queues.map(({ served }) => served),
  };
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  return a[0]! < b[0]! || (a[0] === b[0] && a[1]! < b[1]!);
}
