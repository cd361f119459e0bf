/**
 * What a waiting driver looks at. Like a processor that sleeps until an interrupt of the device it waits for, it is
 * asked again only when something has changed that it looked at when it was asked last.
 */
export class Watch {
  private readonly looked = new Set<object>();
  private changed = false;

  /** Asks whether the wait is over. */
  ask(done: () => boolean): boolean {
    this.looked.clear();
    this.changed = false;
    return done();
  }

  /** The software reads the state of `part`. */
  look(part: object): void {
    this.looked.add(part);
  }

  /** The state of `part` has changed by itself. */
  change(part: object): void {
    if (this.looked.size === 0 || this.looked.has(part)) this.changed = true;
  }

  /** Whether to ask again. */
  get isDue(): boolean {
    return this.changed;
  }
}
