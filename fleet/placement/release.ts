import { type BoardView, promptLeftOn, type Waiting, withWork } from './board-view.js';
import { predict } from './predict.js';

/** A request goes to another board than it was meant for only where that is better by so much: pages are where it was. */
const BETTER = 0.85;
/** A prompt holds up who comes after: so much of it counts beside the first token's time. */
const PROMPT_WEIGHT = 0.5;
/** Boards whose predictions differ by less are as good as each other. */
const EQUAL = 1.005;
/** Requests that are looked at for each board: those behind them wait for longer than anything can be predicted. */
const LOOKED_AT = 8;

/** Who goes where, now; and for whom each of the others waits. */
export interface Releases {
  readonly released: readonly { readonly id: number; readonly board: string }[];
  readonly meantFor: ReadonlyMap<number, string>;
}

/**
 * Decides for waiting requests, in their order, which board each is for: where its first token is predicted to come first, with
 * what its own prompt does to who comes after. Pages that a board holds are prompt that it does not compute. A
 * request is released when its board is about to have nothing else to begin, and so late that it is not decided before it
 * must be; one that waits for its board leaves boards that are idle to those behind it. Pure.
 */
export function release(waiting: readonly Waiting[], boards: readonly BoardView[]): Releases {
  const views = new Map(boards.filter(({ isDraining }) => !isDraining).map((board) => [board.name, board]));
  const released: { id: number; board: string }[] = [];
  const meantFor = new Map<number, string>();
  for (const request of waiting.slice(0, LOOKED_AT * views.size)) {
    const board = choose(request, [...views.values()]);
    if (board === undefined) break;
    if (hasRoom(board)) released.push({ id: request.id, board: board.name });
    else meantFor.set(request.id, board.name);
    views.set(board.name, withWork(board, request));
  }
  return { released, meantFor };
}

function choose(request: Waiting, boards: readonly BoardView[]): BoardView | undefined {
  const scored = boards.map((board) => {
    const { firstTokenMs, promptMs } = predict(board, promptLeftOn(board, request));
    return { board, score: firstTokenMs + PROMPT_WEIGHT * promptMs };
  });
  if (scored.length === 0) return undefined;
  const least = Math.min(...scored.map(({ score }) => score));
  // Of boards that are as good, idle ones with the same pages, each has its turn.
  const equal = scored.filter(({ score }) => score <= EQUAL * least);
  const best = equal[request.id % equal.length]!;
  const before = scored.find(({ board }) => board.name === request.meantFor);
  return before !== undefined && best.score > BETTER * before.score ? before.board : best.board;
}

/** Whether a board has a place, and begins what it has with its next step. */
function hasRoom({ work, places, promptColumns }: BoardView): boolean {
  const left = work.reduce((sum, { promptLeft }) => sum + promptLeft, 0);
  return work.length < places && left <= promptColumns;
}
