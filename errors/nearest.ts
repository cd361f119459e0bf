/** More letters changed, added or taken away than this, or than a third of the word, are no slip. */
const MOST_SLIPS = 3;

/** The end of a message about a name that does not exist: ` Did you mean "…"?`, or nothing where none of the others is near. */
export function didYouMean(name: string, others: Iterable<string>): string {
  const nearest = nearestName(name, others);
  return nearest === undefined ? '' : ` Did you mean "${nearest}"?`;
}

/** The name that differs least from `name`, in letters of either case, where it is near. */
export function nearestName(name: string, others: Iterable<string>): string | undefined {
  // What comes from outside may be long, and the work grows with both lengths.
  const asked = name.slice(0, 64).toLowerCase();
  let best: string | undefined;
  let least = Math.min(MOST_SLIPS, Math.ceil(asked.length / 3)) + 1;
  for (const other of others) {
    const slips = distance(asked, other.toLowerCase());
    if (slips < least) [best, least] = [other, slips];
  }
  return best;
}

/** Letters to change, add or take away, or neighbours to swap, to make one word of the other (Damerau, Levenshtein). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        next[j] = Math.min(next[j], before[j - 2] + 1);
    }
    [before, row] = [row, next];
  }
  return row[b.length];
}
