import { PynqLlmError } from '../../errors/index.js';
import { PAGE_TOKENS, type PartName } from './layout.js';
import type { KvMemory } from './memory.js';
import { type Page, type PagePart, partsOf } from './page.js';
import type { PageStore } from './page-store.js';

/** The part of a pool's pages that pins may take together: what they keep from sequences is bounded. */
const MOST_PINNED = 0.5;

/** Pages that stay in a pool, whoever needs room. */
export class Pins {
  readonly #memory: KvMemory;
  readonly #pages: PageStore;
  #frames = 0;
  /** What releases those that are not released yet. */
  readonly #releases = new Set<() => void>();

  constructor(memory: KvMemory, pages: PageStore) {
    this.#memory = memory;
    this.#pages = pages;
  }

  /** Frames that are pinned. */
  get frames(): number {
    return this.#frames;
  }

  /** Complete pages that take as much room. */
  get pages(): number {
    return Math.ceil(this.#frames / this.#memory.layout.pageFrames);
  }

  /** Frames of some pages that are pinned. */
  framesOf(pages: readonly Page[]): number {
    const { layout } = this.#memory;
    return pages
      .flatMap(partsOf)
      .reduce((sum, { name, pins }) => sum + (pins > 0 ? layout.partFrames(name) : 0), 0);
  }

  /**
   * Refuses what may not be pinned: half of the pages are for sequences.
   * @param known those of the first `pages` pages that are there
   * @throws PynqLlmError LLM_KV_PINNED
   */
  check(pages: number, known: readonly Page[]): void {
    const { layout, completePages } = this.#memory;
    let more = 0;
    for (let i = 0; i < pages; i++)
      for (const name of this.#partsOf(i, pages))
        if (!known[i]?.[name]?.pins) more += layout.partFrames(name);
    const most = Math.floor(completePages * MOST_PINNED);
    if (more === 0 || this.#frames + more <= most * layout.pageFrames) return;
    const morePages = Math.ceil(more / layout.pageFrames);
    throw new PynqLlmError(
      'LLM_KV_PINNED',
      `To pin ${pages} pages, ${morePages} more have to be kept; ${this.pages} are, and ${most} of the ${completePages} may be.`,
      { context: { pages, more: morePages, pinned: this.pages, most } },
    );
  }

  /**
   * Keeps pages that follow one another from the first one on.
   * @param onRelease called once, before they are let go
   * @returns what releases them, harmless the second time
   */
  add(pages: readonly Page[], onRelease: (() => void) | undefined): () => void {
    const pinned: [Page, PagePart][] = [];
    for (const [i, page] of pages.entries())
      for (const name of this.#partsOf(i, pages.length)) {
        // Of a window that ends a page before the last one the first part may be gone.
        const part = page[name];
        if (part === undefined) continue;
        this.#pages.hold(page, name);
        if (part.pins++ === 0) this.#frames += this.#memory.layout.partFrames(name);
        pinned.push([page, part]);
      }
    const release = () => {
      if (!this.#releases.delete(release)) return;
      onRelease?.();
      for (const [page, part] of pinned.reverse()) {
        if (--part.pins === 0) this.#frames -= this.#memory.layout.partFrames(part.name);
        this.#pages.drop(page, part.name);
      }
    };
    this.#releases.add(release);
    return release;
  }

  /** Releases all: who releases one then does nothing. */
  releaseAll(): void {
    for (const release of [...this.#releases]) release();
  }

  /** What a pin of `pages` pages keeps of page `i`: windows that end in its last page, or with it. */
  #partsOf(i: number, pages: number): PartName[] {
    const { layout } = this.#memory;
    const isSeen = i >= layout.windowStart((pages - 1) * PAGE_TOKENS);
    return isSeen && layout.window > 0 ? ['full', 'windowed'] : ['full'];
  }
}
