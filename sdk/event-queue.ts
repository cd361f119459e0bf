/** Hands what comes in to one reader, in order; the reader waits while nothing is there. */
export class EventQueue<T> {
  readonly #items: T[] = [];
  #wake: (() => void) | undefined;
  #end: { readonly error: unknown } | { readonly error?: never } | undefined;

  push(item: T): void {
    if (this.#end !== undefined) return;
    this.#items.push(item);
    this.#wake?.();
  }

  /** Nothing follows; the reader still gets what is there. */
  end(): void {
    this.#end ??= {};
    this.#wake?.();
  }

  /** As `end`, but the reader gets the error after what is there. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** The next item, or undefined at the end. @throws what `fail` was given */
  async next(): Promise<T | undefined> {
    while (this.#items.length === 0) {
      if (this.#end !== undefined) {
        if ('error' in this.#end) throw this.#end.error;
        return undefined;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    return this.#items.shift();
  }
}
