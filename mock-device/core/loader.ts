/** Whether, and until when, the unit that unpacks inputs or weights is at work: a COMPUTE starts only while both rest. */
export class Loader {
  /** Cycle at which the load at hand reached it. */
  #from = 0;
  /** Cycle at which it is idle again; Infinity while words lack. */
  #idle = 0;
  /** It waits for words that no load brings any more, or counts them wrong: why. */
  #stuck: string | undefined;
  /** Cycle at which a load's block reaches its memory; Infinity while its words have not come. */
  #written: (block: number) => number = () => Number.POSITIVE_INFINITY;
  #blocks = 0;

  /**
   * A load reaches it.
   * @param now when the load unit has its block count
   * @param resumes when it looks for a load again after the last one, if a computation held it up
   * @returns when it has the block count
   */
  begin(now: number, resumes: number, blocks: number, written: (block: number) => number): number {
    if (this.#stuck !== undefined) return now;
    this.#from = Math.max(now, this.#idle, resumes);
    this.#idle = Number.POSITIVE_INFINITY;
    this.#blocks = blocks;
    this.#written = written;
    return this.#from;
  }

  /** It cannot get to an end. @param why for people */
  stick(why: string): void {
    this.#stuck ??= why;
    this.#idle = Number.POSITIVE_INFINITY;
  }

  end(idle: number): void {
    if (this.#stuck === undefined) this.#idle = idle;
  }

  /** Cycle at which the load at hand reached it. */
  get from(): number {
    return this.#from;
  }

  get stuck(): string | undefined {
    return this.#stuck;
  }

  /** Cycle at which it is idle again; Infinity while that is unknown. */
  get idle(): number {
    return this.#idle;
  }

  /** Whether a COMPUTE that could start at `cycle` has to wait for it. */
  isBusyAt(cycle: number): boolean {
    return this.#from < cycle && cycle <= this.#idle;
  }

  /** The blocks of the load at hand are all in memory: no COMPUTE can be overtaken by them any more. */
  settle(): void {
    this.#blocks = 0;
  }

  /**
   * Whether the load at hand writes a block before it is read last.
   * @param start of the COMPUTE: a load from before it was waited for
   * @param blocks that the COMPUTE reads
   * @param lastRead cycle at which it reads a block last
   */
  overtakes(start: number, blocks: number, lastRead: (block: number) => number): boolean {
    if (this.#from < start) return false;
    for (let block = 0; block < Math.min(blocks, this.#blocks); block++)
      if (this.#written(block) <= lastRead(block)) return true;
    return false;
  }
}
