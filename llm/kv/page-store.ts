import type { PartName } from './layout.js';
import type { KvMemory } from './memory.js';
import { framesOf, hasBytes, type Page, type PagePart, partsOf } from './page.js';
import type { PrefixIndex } from './prefix-index.js';

/**
 * Pages in the frames of a memory, and who holds them. Complete ones that nobody holds stay in the index until their room is
 * needed, the least recently used goes first; what layers with a window keep of a page is held, and goes, for itself.
 */
export class PageStore {
  readonly #memory: KvMemory;
  readonly #index: PrefixIndex;
  /** Parts of pages in the index that nobody holds, the least recently used first; a page comes before the one it follows. */
  readonly #unheld = new Map<PagePart, Page>();
  #unheldFrames = 0;
  #evictions = 0;

  constructor(memory: KvMemory, index: PrefixIndex) {
    this.#memory = memory;
    this.#index = index;
  }

  /** Frames of pages that nobody holds. */
  get unheldFrames(): number {
    return this.#unheldFrames;
  }

  /** Pages that were thrown out for others. */
  get evictions(): number {
    return this.#evictions;
  }

  /**
   * A page with room for what an open one has, or only for what a settled one has, held once, or nothing where all is held.
   * @param isWhole whether with what layers with a window keep
   */
  newPage(kind: 'open' | 'settled' = 'open', isWhole = true): Page | undefined {
    const { groups, window, type, keptRowFrames, rowFrames } = this.#memory.layout;
    const hasWindowed = isWhole && window > 0;
    const hasHalves = kind === 'open' || type === 'f16';
    const frames = (hasHalves ? 2 : 1) * (groups.full + (hasWindowed ? groups.windowed : 0));
    const rows = kind === 'open' ? rowFrames : 0;
    if (!this.#makeRoom(frames + keptRowFrames + rows)) return undefined;
    const part = (name: PartName): PagePart => ({
      name,
      keys: this.#take(hasHalves ? groups[name] : 0),
      values: this.#take(hasHalves ? groups[name] : 0),
      bytes: this.#take(hasHalves ? 0 : groups[name]),
      keptRows: this.#take(name === 'full' ? keptRowFrames : 0),
      rows: this.#take(name === 'full' ? rows : 0),
      holders: 1,
      pins: 0,
    });
    return {
      full: part('full'),
      windowed: hasWindowed ? part('windowed') : undefined,
      entry: undefined,
    };
  }

  /** A copy of a page that has all that an open one has, held once, or nothing where all is held. */
  copyOf(page: Page): Page | undefined {
    const copy = this.newPage();
    if (copy === undefined) return undefined;
    for (const part of partsOf(page))
      for (const kind of ['keys', 'values', 'keptRows', 'rows'] as const)
        for (const [i, frame] of part[kind].entries()) this.#memory.copy(frame, copy[part.name]![kind][i]);
    return copy;
  }

  /** Gives a page room for INT8; false where all is held. */
  takeBytes(page: Page): boolean {
    const { groups } = this.#memory.layout;
    const parts = partsOf(page);
    if (!this.#makeRoom(parts.reduce((sum, { name }) => sum + groups[name], 0))) return false;
    for (const part of parts) part.bytes = this.#take(groups[part.name]);
    return true;
  }

  hold(page: Page, name: PartName): void {
    const part = partOf(page, name);
    part.holders++;
    if (this.#unheld.delete(part)) this.#unheldFrames -= framesOf(part).length;
  }

  /**
   * Lets go of a part of a page: of one that is in the index it stays for the time being. Of a sequence's pages the last goes
   * first, and of a page the part of layers with a window.
   */
  drop(page: Page, name: PartName): void {
    const part = partOf(page, name);
    if (--part.holders > 0) return;
    if (page.entry === undefined) this.#free(part, page);
    else {
      this.#unheld.set(part, page);
      this.#unheldFrames += framesOf(part).length;
    }
  }

  /**
   * Gives a complete page its final form and puts it into the index. Where an equal one is there already that one is held
   * instead: equal tokens have equal keys and values, to the bit.
   *
   * @param prefix the sequence's page before, in the index
   * @returns the page that the sequence has now
   */
  settle(page: Page, prefix: Page | undefined, tokens: ArrayLike<number>): Page {
    if (hasBytes(page)) for (const part of partsOf(page)) this.#dropHalves(part);
    this.#dropRows(page.full);
    const equal = this.#index.find(prefix, tokens);
    if (equal === undefined) {
      this.#index.add(page, prefix, tokens);
      return page;
    }
    this.hold(equal, 'full');
    if (page.windowed !== undefined && equal.windowed === undefined) {
      equal.windowed = page.windowed;
      page.windowed = undefined;
    } else if (page.windowed !== undefined) {
      this.hold(equal, 'windowed');
      this.drop(page, 'windowed');
    }
    this.drop(page, 'full');
    return equal;
  }

  /** Throws out what nobody holds. */
  clear(): void {
    for (const [part, page] of this.#unheld) this.#evict(part, page);
  }

  #take(frames: number): number[] {
    return Array.from({ length: frames }, () => this.#memory.take());
  }

  #makeRoom(frames: number): boolean {
    for (const [part, page] of this.#unheld) {
      if (this.#memory.freeFrames >= frames) break;
      this.#evict(part, page);
      if (part === page.full) this.#evictions++;
    }
    return this.#memory.freeFrames >= frames;
  }

  /** Without what all layers see of it a page is nothing. */
  #evict(part: PagePart, page: Page): void {
    for (const gone of part === page.full ? partsOf(page) : [part]) {
      if (this.#unheld.delete(gone)) this.#unheldFrames -= framesOf(gone).length;
      this.#free(gone, page);
    }
    if (part === page.full) this.#index.remove(page);
  }

  #free(part: PagePart, page: Page): void {
    this.#dropHalves(part);
    this.#dropRows(part);
    for (const frame of [...part.bytes, ...part.keptRows]) this.#memory.giveBack(frame);
    part.bytes = [];
    part.keptRows = [];
    if (part === page.windowed) page.windowed = undefined;
  }

  #dropRows(part: PagePart): void {
    for (const frame of part.rows) this.#memory.giveBack(frame);
    part.rows = [];
  }

  /** Gives up the halves of what is INT8 for good, or will be nothing. */
  #dropHalves(part: PagePart): void {
    for (const frame of [...part.keys, ...part.values]) this.#memory.giveBack(frame);
    part.keys = [];
    part.values = [];
  }
}

function partOf(page: Page, name: PartName): PagePart {
  const part = page[name];
  if (part === undefined) throw new Error('what is held of a page is there');
  return part;
}
