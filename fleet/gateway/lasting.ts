/** What is so for a while, by the names of what it is so of. */
export class Lasting {
  readonly #until = new Map<string, number>();

  /** It is so from `now` on for `ms` milliseconds. */
  note(name: string, ms: number, now: number): void {
    for (const [other, until] of this.#until) if (now >= until) this.#until.delete(other);
    this.#until.set(name, now + ms);
  }

  has(name: string, now: number): boolean {
    return now < (this.#until.get(name) ?? now);
  }

  delete(name: string): void {
    this.#until.delete(name);
  }
}
