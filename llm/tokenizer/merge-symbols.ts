import { PAUSE_AFTER, type Pausable } from '../../constraint/index.js';
import { MergeQueue } from './merge-queue.js';

/**
 * The priority of merging `text` from `start` to `middle` with `middle` to `end` (UTF-16 offsets): lower merges first.
 * NaN if the two do not merge.
 */
export type MergePriority = (text: string, start: number, middle: number, end: number) => number;

/** End of a symbol that has been merged into its left neighbour. */
const MERGED = -1;

/**
 * Splits `text` into characters and merges neighbours, always the pair of the lowest priority and of those the leftmost,
 * until none merges: the common core of SentencePiece's BPE and of GPT-2's. O(n log n), paused now and then.
 *
 * @returns the symbols left, in order
 */
export function* mergeSymbols(text: string, priorityOf: MergePriority): Pausable<string[]> {
  const starts: number[] = [];
  const ends: number[] = [];
  let position = 0;
  for (const character of text) {
    starts.push(position);
    position += character.length;
    ends.push(position);
    if (ends.length % PAUSE_AFTER === 0) yield;
  }
  const count = starts.length;
  const next = new Int32Array(count);
  const previous = new Int32Array(count);
  const queue = new MergeQueue();

  const consider = (left: number, right: number) => {
    if (left < 0 || right >= count) return;
    const priority = priorityOf(text, starts[left], starts[right], ends[right]);
    if (!Number.isNaN(priority)) queue.push({ priority, left, right, end: ends[right] });
  };

  for (let right = 0; right < count; right += 1) {
    previous[right] = right - 1;
    next[right] = right + 1;
    consider(right - 1, right);
    if (right % PAUSE_AFTER === PAUSE_AFTER - 1) yield;
  }
  let done = 0;
  for (let best = queue.pop(); best !== undefined; best = queue.pop()) {
    const { left, right, end } = best;
    done += 1;
    if (done % PAUSE_AFTER === 0) yield;
    // Stale: one of the two has been merged otherwise since.
    if (ends[left] === MERGED || ends[right] !== end || next[left] !== right) continue;
    ends[left] = end;
    ends[right] = MERGED;
    next[left] = next[right];
    if (next[left] < count) previous[next[left]] = left;
    consider(previous[left], left);
    consider(left, next[left]);
  }

  const symbols: string[] = [];
  for (let i = 0; i < count; i = next[i]) {
    symbols.push(text.slice(starts[i], ends[i]));
    if (symbols.length % PAUSE_AFTER === 0) yield;
  }
  return symbols;
}
