import { PynqLlmError } from '../../errors/index.js';
import { ThreadPool } from '../threads/thread-pool.js';
import { SEQUENCES } from './default-memory.js';
import { KvLayout, type KvShape, type KvType, PAGE_TOKENS } from './layout.js';
import { KvMemory } from './memory.js';
import { NONE, type Page } from './page.js';
import { PrefixIndex, pageHash } from './prefix-index.js';
import type { Prospect } from './prospect.js';

/** The part of a pool's pages that pins may take together: what they keep from sequences is bounded. */
const MOST_PINNED = 0.5;

export interface KvPoolOptions {
  readonly type: KvType;
  /** Bound of all keys and values. */
  readonly bytes: number;
  /** Longest sequence that is ever asked for, in tokens. */
  readonly contextLength: number;
  /** Most columns whose attention is computed together; 1 unless given. */
  readonly maxColumns?: number | undefined;
  /** Who computes it: the caller alone unless given. */
  readonly threads?: ThreadPool | undefined;
}

/** How a pool is used; pages are complete pages, 16 tokens each. */
export interface KvStats {
  readonly type: KvType;
  /** What there is room for. */
  readonly pages: number;
  /** Room taken by sequences and pins; with INT8 an open page takes that of two. */
  readonly used: number;
  /** Pages that nobody holds and that are kept for prompts that begin with their tokens. */
  readonly cached: number;
  readonly pinned: number;
  /** Bound of all keys and values. */
  readonly bytes: number;
  /** Running totals: pages that were adopted instead of computed, thrown out for others; sequences that made room for others. */
  readonly hits: number;
  readonly evictions: number;
  readonly preemptions: number;
  /** Of these: written to disk and read back, or lost there and computed again. */
  readonly restored: number;
  readonly spillFailures: number;
}

/** Keeps a prefix in the pool, whoever needs room. */
export interface KvPin {
  /** How many tokens of the prefix are kept: whole pages. */
  readonly tokens: number;
  /** Harmless the second time. */
  release(): void;
}

/**
 * Keys and values of all sequences of a model, in pages of 16 tokens within a fixed memory. Complete pages are shared by
 * content; those that nobody holds stay until their room is needed, the least recently used goes first.
 */
export class KvPool {
  readonly memory: KvMemory;
  /** The bound as it was given: what is used of it is whole frames. */
  readonly askedBytes: number;
  readonly #index = new PrefixIndex();
  /** Pages in the index that nobody holds, the least recently used first; a page comes before the one it follows. */
  readonly #unheld = new Set<Page>();
  /** Pages that a step goes on in, at most. */
  readonly #mostOpened: number;
  #pinned = 0;
  #hits = 0;
  #evictions = 0;
  #preemptions = 0;
  #restored = 0;
  #spillFailures = 0;

  /** @throws PynqLlmError LLM_KV_MEMORY, LLM_KV_TYPE */
  constructor(shape: KvShape, options: KvPoolOptions) {
    const { type, bytes, contextLength, maxColumns = 1, threads = new ThreadPool(1) } = options;
    this.askedBytes = bytes;
    this.#mostOpened = SEQUENCES + Math.ceil(maxColumns / PAGE_TOKENS);
    this.memory = new KvMemory(new KvLayout(shape, type), bytes, contextLength, maxColumns, threads);
  }

  /** The longest sequence that there is room for when it is alone. */
  get maxTokens(): number {
    return this.memory.maxTokens;
  }

  /**
   * Tokens that each of some sequences can have, whoever else makes room.
   * @param shared pinned pages that are their own
   * @param branches how many begin with the same `prompt` tokens, of which they share the complete pages
   */
  roomFor(shared: number, branches = 1, prompt = 0): number {
    const { layout, frames } = this.memory;
    const common = Math.floor(prompt / PAGE_TOKENS);
    const own = frames - (this.#pinned - shared + common) * layout.pageFrames;
    return common * PAGE_TOKENS + layout.tokensIn(Math.floor(own / branches));
  }

  /** How many of the first pages of `tokens` are pinned. */
  pinnedOf(tokens: readonly number[]): number {
    if (this.#pinned === 0) return 0;
    return this.#pagesOf(tokens).filter(({ pins }) => pins > 0).length;
  }

  /** Complete pages that there is room for. */
  get #pageCount(): number {
    return Math.floor(this.memory.frames / this.memory.layout.pageFrames);
  }

  get stats(): KvStats {
    const { memory } = this;
    const { pageFrames, type, frameBytes } = memory.layout;
    const cached = this.#unheld.size;
    return {
      type,
      pages: this.#pageCount,
      used: Math.ceil((memory.frames - memory.freeFrames) / pageFrames) - cached,
      cached,
      pinned: this.#pinned,
      bytes: memory.frames * frameBytes,
      hits: this.#hits,
      evictions: this.#evictions,
      preemptions: this.#preemptions,
      restored: this.#restored,
      spillFailures: this.#spillFailures,
    };
  }

  /**
   * Pages that there is room for, those that nobody holds thrown out: open ones, or more where rows of convolutions take most of an
   * open page, as only pages that a step goes on in have some.
   */
  get freePages(): number {
    const { freeFrames, layout } = this.memory;
    const { pageFrames, openFrames, rowFrames } = layout;
    const frames = freeFrames + this.#unheld.size * pageFrames;
    const open = Math.floor(frames / openFrames);
    return Math.max(open, Math.floor((frames - this.#mostOpened * rowFrames) / (openFrames - rowFrames)));
  }

  /**
   * Refuses what may not be pinned, all its pages in the pool or not: half of the pages are for sequences.
   * @throws PynqLlmError LLM_KV_PINNED
   */
  checkPin(tokens: readonly number[]): void {
    const pages = Math.floor(tokens.length / PAGE_TOKENS);
    const more = pages - this.pinnedOf(tokens);
    const most = Math.floor(this.#pageCount * MOST_PINNED);
    if (more === 0 || this.#pinned + more <= most) return;
    throw new PynqLlmError(
      'LLM_KV_PINNED',
      `To pin ${pages} pages, ${more} more have to be kept; ${this.#pinned} are, and ${most} of the ${this.#pageCount} may be.`,
      { context: { pages, more, pinned: this.#pinned, most } },
    );
  }

  /**
   * Keeps the complete pages of `tokens` that are in the pool until the pin is released.
   * @throws PynqLlmError LLM_KV_PINNED
   */
  pin(tokens: readonly number[]): KvPin {
    const pages = this.#pagesOf(tokens);
    this.checkPin(tokens.slice(0, pages.length * PAGE_TOKENS));
    for (const page of pages) {
      this.hold(page);
      if (page.pins++ === 0) this.#pinned++;
    }
    return {
      tokens: pages.length * PAGE_TOKENS,
      release: () => {
        for (const page of pages.splice(0).reverse()) {
          if (--page.pins === 0) this.#pinned--;
          this.drop(page);
        }
      },
    };
  }

  /** Forgets what nobody holds. */
  clear(): void {
    for (const page of this.#unheld) this.#evict(page);
  }

  /** An open page, held once, or nothing where all is held. */
  newPage(): Page | undefined {
    const { memory } = this;
    const { rowFrames } = memory.layout;
    if (!this.#makeRoom(2 + rowFrames)) return undefined;
    const [keys, values] = [memory.take(), memory.take()];
    const rows = Array.from({ length: rowFrames }, () => memory.take());
    return { keys, values, bytes: NONE, rows, holders: 1, pins: 0, entry: undefined };
  }

  /** A page with room for what a settled one has, held once, or nothing where all is held. */
  newCompletePage(): Page | undefined {
    const { memory } = this;
    const { pageFrames, type } = memory.layout;
    if (!this.#makeRoom(pageFrames)) return undefined;
    const [keys, values, bytes] =
      type === 'int8' ? [NONE, NONE, memory.take()] : [memory.take(), memory.take(), NONE];
    return { keys, values, bytes, rows: [], holders: 1, pins: 0, entry: undefined };
  }

  /** A copy of an open page, held once, or nothing where all is held. */
  copyOf(page: Page): Page | undefined {
    const copy = this.newPage();
    if (copy === undefined) return undefined;
    this.memory.copy(page.keys, copy.keys);
    this.memory.copy(page.values, copy.values);
    for (const [i, frame] of page.rows.entries()) this.memory.copy(frame, copy.rows[i]);
    return copy;
  }

  /** Gives a page room for INT8; false where all is held. */
  takeBytes(page: Page): boolean {
    if (!this.#makeRoom(1)) return false;
    page.bytes = this.memory.take();
    return true;
  }

  hold(page: Page): void {
    page.holders++;
    this.#unheld.delete(page);
  }

  /** Lets go of a page: one that is in the index stays there for the time being. Of a sequence's pages the last goes first. */
  drop(page: Page): void {
    if (--page.holders > 0) return;
    if (page.entry === undefined) this.#free(page);
    else this.#unheld.add(page);
  }

  /** The page of `tokens` after `prefix`, held once more. */
  find(prefix: Page | undefined, tokens: ArrayLike<number>): Page | undefined {
    const page = this.#index.find(prefix, tokens);
    if (page === undefined) return undefined;
    this.#hits++;
    this.hold(page);
    return page;
  }

  /**
   * What a prompt need not compute, and what it needs next.
   * @param from where a page begins
   * @param prefix the page before it, in the index
   */
  prospect(tokens: readonly number[], from = 0, prefix?: Page): Prospect {
    let before = prefix;
    for (let at = from; at + PAGE_TOKENS < tokens.length; at += PAGE_TOKENS) {
      const next = tokens.slice(at, at + PAGE_TOKENS);
      const page = this.#index.find(before, next);
      if (page === undefined) return { found: at - from, page: pageHash(before, next) };
      before = page;
    }
    return { found: Math.max(0, wholePages(tokens.length - 1) - from), page: undefined };
  }

  /**
   * Gives a complete page its final form and puts it into the index. Where an equal one is there already that one is held
   * instead: equal tokens have equal keys and values, to the bit.
   *
   * @param prefix the sequence's page before, in the index
   * @returns the page that the sequence has now
   */
  settle(page: Page, prefix: Page | undefined, tokens: ArrayLike<number>): Page {
    const equal = this.#index.find(prefix, tokens);
    if (equal !== undefined) {
      this.hold(equal);
      this.drop(page);
      return equal;
    }
    if (page.bytes !== NONE) this.#dropHalves(page);
    this.#dropRows(page);
    this.#index.add(page, prefix, tokens);
    return page;
  }

  countPreemption(): void {
    this.#preemptions++;
  }

  countSpill(outcome: 'restored' | 'failed'): void {
    if (outcome === 'restored') this.#restored++;
    else this.#spillFailures++;
  }

  /** The complete pages of `tokens` that are there, up to the first that is not. */
  #pagesOf(tokens: readonly number[]): Page[] {
    const pages: Page[] = [];
    for (let at = 0; at + PAGE_TOKENS <= tokens.length; at += PAGE_TOKENS) {
      const page = this.#index.find(pages.at(-1), tokens.slice(at, at + PAGE_TOKENS));
      if (page === undefined) break;
      pages.push(page);
    }
    return pages;
  }

  #makeRoom(frames: number): boolean {
    for (const page of this.#unheld) {
      if (this.memory.freeFrames >= frames) break;
      this.#evict(page);
      this.#evictions++;
    }
    return this.memory.freeFrames >= frames;
  }

  #evict(page: Page): void {
    this.#unheld.delete(page);
    this.#index.remove(page);
    this.#free(page);
  }

  #dropHalves(page: Page): void {
    for (const frame of [page.keys, page.values]) if (frame !== NONE) this.memory.giveBack(frame);
    page.keys = NONE;
    page.values = NONE;
  }

  #dropRows(page: Page): void {
    for (const frame of page.rows) this.memory.giveBack(frame);
    page.rows = [];
  }

  #free(page: Page): void {
    this.#dropHalves(page);
    this.#dropRows(page);
    if (page.bytes !== NONE) this.memory.giveBack(page.bytes);
    page.bytes = NONE;
  }
}

function wholePages(tokens: number): number {
  return tokens - (tokens % PAGE_TOKENS);
}
