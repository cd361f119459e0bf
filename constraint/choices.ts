import type { Place } from './grammar.js';

/** What may happen at a place, with the splits on the way to it followed. */
export class Choice {
  /** @param bounds the bytes at which other places begin to lead on, from 0. @param nexts for each interval the places after it */
  constructor(
    readonly bounds: readonly number[],
    readonly nexts: readonly (readonly number[])[],
    /** Places that read no byte themselves: calls, repetitions, ends. */
    readonly others: readonly number[],
  ) {}

  /** The places after a byte. */
  after(byte: number): readonly number[] {
    return this.nexts[intervalOf(this.bounds, byte)];
  }
}

/** The choices at the places of a grammar, each put together when it is asked for. */
export class Choices {
  /** Places and edges looked at; whoever counts sets it back. */
  work = 0;
  readonly #places: readonly Place[];
  readonly #known: (Choice | undefined)[];

  constructor(places: readonly Place[]) {
    this.#places = places;
    this.#known = Array.from({ length: places.length });
  }

  of(place: number): Choice {
    const known = this.#known[place];
    if (known !== undefined) return known;
    const choice = this.#find(place);
    this.#known[place] = choice;
    return choice;
  }

  #find(start: number): Choice {
    const edges: [from: number, to: number, next: number][] = [];
    const others: number[] = [];
    const seen = new Set([start]);
    // A set may grow while it is walked.
    for (const at of seen) {
      const place = this.#places[at];
      if (place.kind === 'split') for (const next of place.nexts) seen.add(next);
      else if (place.kind === 'bytes')
        for (const [from, to] of place.ranges) edges.push([from, to, place.next]);
      else others.push(at);
    }
    const bounds = [...new Set([0, ...edges.flatMap(([from, to]) => [from, to + 1])])].toSorted(
      (a, b) => a - b,
    );
    const nexts = bounds.map((): Set<number> => new Set());
    for (const [from, to, next] of edges) {
      const last = intervalOf(bounds, to);
      for (let i = intervalOf(bounds, from); i <= last; i++) nexts[i].add(next);
      this.work += 1 + last - intervalOf(bounds, from);
    }
    this.work += seen.size;
    return new Choice(
      bounds,
      nexts.map((places) => [...places]),
      others,
    );
  }
}

/** Which interval a byte is in. @param bounds where intervals begin, in order, the first at 0 */
export function intervalOf(bounds: readonly number[], byte: number): number {
  let low = 0;
  let high = bounds.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (bounds[middle] <= byte) low = middle;
    else high = middle;
  }
  return low;
}
