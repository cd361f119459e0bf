/** A set of whole numbers as ranges that neither touch nor overlap: few, and in order. */
export class Ranges {
  /** start, end (not in it), start, end, ... */
  readonly #bounds: number[] = [];

  /** Whether all of from..to-1 is in the set. */
  covers(from: number, to: number): boolean {
    const i = this.#endingAfter(from);
    return i < this.#bounds.length && this.#bounds[i] <= from && to <= this.#bounds[i + 1];
  }

  /** Whether any of from..to-1 is in the set. */
  overlaps(from: number, to: number): boolean {
    const i = this.#endingAfter(from);
    return i < this.#bounds.length && this.#bounds[i] < to;
  }

  /** What of from..to-1 is in the set, as start and end, in order. */
  within(from: number, to: number): (readonly [start: number, end: number])[] {
    const parts: [number, number][] = [];
    for (let i = this.#endingAfter(from); i < this.#bounds.length && this.#bounds[i] < to; i += 2)
      parts.push([Math.max(from, this.#bounds[i]), Math.min(to, this.#bounds[i + 1])]);
    return parts;
  }

  add(from: number, to: number): void {
    const first = this.#endingAfter(from - 1);
    let start = from;
    let end = to;
    let next = first;
    for (; next < this.#bounds.length && this.#bounds[next] <= to; next += 2) {
      start = Math.min(start, this.#bounds[next]);
      end = Math.max(end, this.#bounds[next + 1]);
    }
    this.#bounds.splice(first, next - first, start, end);
  }

  remove(from: number, to: number): void {
    const first = this.#endingAfter(from);
    const kept: number[] = [];
    let next = first;
    for (; next < this.#bounds.length && this.#bounds[next] < to; next += 2) {
      const [start, end] = [this.#bounds[next], this.#bounds[next + 1]];
      if (start < from) kept.push(start, from);
      if (end > to) kept.push(to, end);
    }
    this.#bounds.splice(first, next - first, ...kept);
  }

  /** Place of the first range that ends after a number. */
  #endingAfter(value: number): number {
    let i = 0;
    while (i < this.#bounds.length && this.#bounds[i + 1] <= value) i += 2;
    return i;
  }
}
