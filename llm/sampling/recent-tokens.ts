/** The last tokens of a sequence, for the penalties. */
export class RecentTokens {
  readonly #length: number;
  readonly #counts = new Map<number, number>();
  /** A ring of the tokens counted; it stays empty where all tokens count, for then none is ever dropped. */
  readonly #ring: number[] = [];
  #next = 0;

  /** @param length how many tokens count; -1 counts all */
  constructor(length: number) {
    this.#length = length;
  }

  add(id: number): void {
    if (this.#length === 0) return;
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    if (this.#length < 0) return;
    if (this.#ring.length === this.#length) this.#drop(this.#ring[this.#next]);
    this.#ring[this.#next] = id;
    this.#next = (this.#next + 1) % this.#length;
  }

  /** The distinct ids, each with how often it is there. */
  counts(): IterableIterator<[id: number, count: number]> {
    return this.#counts.entries();
  }

  #drop(id: number): void {
    const left = (this.#counts.get(id) ?? 0) - 1;
    if (left > 0) this.#counts.set(id, left);
    else this.#counts.delete(id);
  }
}
