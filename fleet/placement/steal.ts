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
 * board has joined, or where answers became longer than anybody could know. From a board that drains it goes wherever it would begin.
 * What has begun stays. Pure.
 * @param promptOn tokens that a board would have to compute of a request; undefined where it may not go there
 */
export function steal(
  boards: readonly BoardView[],
  promptOn: (id: number, board: string) => number | undefined,
): Move | undefined {
  let best: (Move & { readonly gain: number }) | undefined;
  for (const from of boards)
    for (const [i, { id, begun, promptLeft }] of from.work.entries()) {
      if (begun) continue;
      const here = predict({ ...from, work: from.work.slice(0, i) }, promptLeft).firstTokenMs;
      for (const to of boards) {
        if (to === from || to.isDraining) continue;
        const prompt = promptOn(id, to.name);
        if (prompt === undefined) continue;
        const gain = here - predict(to, prompt).firstTokenMs;
        const isWorth = from.isDraining || gain > WORTH * here;
        if (isWorth && gain > (best?.gain ?? Number.NEGATIVE_INFINITY))
          best = { id, from: from.name, to: to.name, gain };
      }
    }
  return best && { id: best.id, from: best.from, to: best.to };
}
