import type { BoardView } from './board-view.js';
import { predict } from './predict.js';

/** Moving costs a message and the other board's pages: it must bring the first token forward by so much of the wait. */
const WORTH = 0.5;

/** What has not begun on a board and is better off on another. */
export interface Move {
  readonly id: number;
  readonly from: string;
  readonly to: string;
}

/**
 * Finds a request that a board has not begun and that another would begin so much earlier that moving it is worth while: after a
 * board has joined, or where answers became longer than anybody could know. What has begun stays. Pure.
 * @param promptOn tokens that a board would have to compute of a request
 */
export function steal(
  boards: readonly BoardView[],
  promptOn: (id: number, board: string) => number,
): Move | undefined {
  let best: (Move & { readonly gain: number }) | undefined;
  for (const from of boards)
    for (const [i, { id, begun }] of from.work.entries()) {
      if (begun) continue;
      const here = predict({ ...from, work: from.work.slice(0, i) }, promptOn(id, from.name)).firstTokenMs;
      for (const to of boards) {
        if (to === from || to.isDraining) continue;
        const there = predict(to, promptOn(id, to.name)).firstTokenMs;
        const gain = here - there;
        if (gain > WORTH * here && gain > (best?.gain ?? 0))
          best = { id, from: from.name, to: to.name, gain };
      }
    }
  return best && { id: best.id, from: best.from, to: best.to };
}
