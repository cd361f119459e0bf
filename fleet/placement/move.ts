import type { BoardView } from './board-view.js';
import { predict, predictEnds } from './predict.js';
import type { Move } from './steal.js';

/** It costs a prefill and the other board's pages: what runs is moved only where it would end in so much of its time. */
const WORTH = 0.5;

/**
 * Finds a request that has begun and is better continued on another board, with a prefill of all that it has so far: after a board has
 * joined while others have too much, or where its board drains. Pure.
 *
 * From a board that stays it is moved where it then ends in half of the time, and where everybody together waits less than before: those
 * behind it, and those whom its prefill holds up. From one that drains it is moved where it goes on sooner than it would have ended.
 * @param promptOn tokens that a board would have to compute of a request; undefined where it may not go there
 */
export function move(
  boards: readonly BoardView[],
  promptOn: (id: number, board: string) => number | undefined,
): Move | undefined {
  const goals = boards.filter(({ isDraining, work, places }) => !isDraining && work.length < places);
  const ends = new Map(boards.map((board) => [board, predictEnds(board)]));
  let best: (Move & { readonly gain: number }) | undefined;
  for (const from of boards)
    for (const { id, begun, expectedLeft } of from.work) {
      if (!begun) continue;
      const here = ends.get(from)!.get(id)!;
      for (const to of goals) {
        const promptLeft = to === from ? undefined : promptOn(id, to.name);
        if (promptLeft === undefined) continue;
        const more = { ...to, work: [...to.work, { id, promptLeft, expectedLeft, begun: false }] };
        const there = predictEnds(more);
        const end = there.get(id)!;
        const isWorth = from.isDraining ? predict(to, promptLeft).firstTokenMs < here : end <= WORTH * here;
        if (!isWorth) continue;
        const less = { ...from, work: from.work.filter((one) => one.id !== id) };
        const before = sum(ends.get(from)!) + sum(ends.get(to)!);
        const gain = before - sum(predictEnds(less)) - sum(there);
        if ((from.isDraining || gain > 0) && gain > (best?.gain ?? Number.NEGATIVE_INFINITY))
          best = { id, from: from.name, to: to.name, gain };
      }
    }
  return best && { id: best.id, from: best.from, to: best.to };
}

function sum(ends: ReadonlyMap<number, number>): number {
  let all = 0;
  for (const ms of ends.values()) all += ms;
  return all;
}
