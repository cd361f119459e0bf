/** Changes that are remembered: who asks within so many of them is told what changed, and everything otherwise. */
const REMEMBERED = 4_096;
/** Hashes that are told at once: of 524,288 tokens. */
const MOST_TOLD = 32_768;

/** Which complete pages are there, by their hashes, or what changed since a version. Plain data. */
export interface HeldPages {
  /** Of what it says; each change makes it one more. */
  readonly version: number;
  /** Whether `added` is all that is there, and not what came since. */
  readonly isWhole: boolean;
  readonly added: readonly number[];
  readonly removed: readonly number[];
}

/** Hashes that come and go, so that others can follow which are there. */
export class PageChanges {
  #version = 0;
  /** The latest changes, the one of version `v` at `v` modulo their number. */
  readonly #hashes = new Int32Array(REMEMBERED);
  readonly #held = new Uint8Array(REMEMBERED);

  note(hash: number, isHeld: boolean): void {
    const at = this.#version++ % REMEMBERED;
    this.#hashes[at] = hash;
    this.#held[at] = isHeld ? 1 : 0;
  }

  /**
   * @param since a version that who asks knows all of; nothing is known unless given
   * @param all hashes that are there, the oldest first
   */
  held(since: number | undefined, all: Iterable<number>): HeldPages {
    const version = this.#version;
    if (since === undefined || since > version || version - since > REMEMBERED) {
      const added: number[] = [];
      for (const hash of all) {
        if (added.length === MOST_TOLD) break;
        added.push(hash);
      }
      return { version, isWhole: true, added, removed: [] };
    }
    // Of what came and went only the last counts.
    const last = new Map<number, boolean>();
    for (let v = since; v < version; v++)
      last.set(this.#hashes[v % REMEMBERED], this.#held[v % REMEMBERED] === 1);
    const of = (isHeld: boolean) => [...last].filter(([, held]) => held === isHeld).map(([hash]) => hash);
    return { version, isWhole: false, added: of(true), removed: of(false) };
  }
}
