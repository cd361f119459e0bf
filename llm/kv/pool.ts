import { PynqLlmError } from '../../errors/index.js';
import { ThreadPool } from '../threads/thread-pool.js';
import { SEQUENCES } from './default-memory.js';
import { KvLayout, type KvShape, type KvType, PAGE_TOKENS, type PartName } from './layout.js';
import { KvMemory } from './memory.js';
import { framesOf, hasBytes, type Page, type PagePart, partsOf } from './page.js';
import type { HeldPages } from './page-changes.js';
import type { PoolShape } from './pool-shape.js';
import { hashAfter, PrefixIndex } from './prefix-index.js';
import type { Prospect } from './prospect.js';

/** The part of a pool's pages that pins may take together: what they keep from sequences is bounded. */
const MOST_PINNED = 0.5;

export interface KvPoolOptions {
  readonly type: KvType;
  /** Bound of all keys and values. */
  readonly bytes: number;
  /** Pages in common with other stages, which bound them instead. */
  readonly common?: PoolShape | undefined;
  /** Longest sequence that is ever asked for, in tokens. */
  readonly contextLength: number;
  /** Most columns whose attention is computed together; 1 unless given. */
  readonly maxColumns?: number | undefined;
  /** Who computes it: the caller alone unless given. */
  readonly threads?: ThreadPool | undefined;
}

/** How a pool is used; pages are complete pages, 16 tokens each, or what takes as much room. */
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

/** Is told what changes in a pool, so that another one can be made the same: see llm/stages. */
export interface PoolRecorder {
  /** Pages of `tokens`, which are whole pages, are pinned. @returns what tells that they are not any more */
  pinned(tokens: readonly number[]): () => void;
  cleared(): void;
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
 * content; those that nobody holds stay until their room is needed, the least recently used goes first. What layers with a
 * window keep of a page is held, and goes, for itself: see docs/kv-cache.md.
 */
export class KvPool {
  readonly memory: KvMemory;
  /** The bound as it was given: what is used of it is whole frames. */
  readonly askedBytes: number;
  /** Who is told of pins, and of what is forgotten; caches tell themselves. */
  recorder: PoolRecorder | undefined;
  readonly #index = new PrefixIndex();
  /** Parts of pages in the index that nobody holds, the least recently used first; a page comes before the one it follows. */
  readonly #unheld = new Map<PagePart, Page>();
  #unheldFrames = 0;
  /** Pages that a step goes on in, at most. */
  readonly #mostOpened: number;
  #pinnedFrames = 0;
  /** What releases those that are not released yet. */
  readonly #pins = new Set<() => void>();
  #hits = 0;
  #evictions = 0;
  #preemptions = 0;
  #restored = 0;
  #spillFailures = 0;

  /** @throws PynqLlmError LLM_KV_MEMORY, LLM_KV_TYPE, LLM_STAGE_UNSUPPORTED */
  constructor(shape: KvShape, options: KvPoolOptions) {
    const { type, common, contextLength, maxColumns = 1, threads = new ThreadPool(1) } = options;
    const layout = new KvLayout(shape, type, common);
    const bytes = common === undefined ? options.bytes : common.frames * layout.frameBytes;
    this.askedBytes = bytes;
    this.#mostOpened = SEQUENCES + Math.ceil(maxColumns / PAGE_TOKENS);
    this.memory = new KvMemory(layout, bytes, contextLength, maxColumns, threads);
  }

  /** The longest sequence that there is room for when it is alone. */
  get maxTokens(): number {
    return this.memory.maxTokens;
  }

  /**
   * Tokens that each of some sequences can have, whoever else makes room.
   * @param shared pinned frames that are their own
   * @param branches how many begin with the same `prompt` tokens, of which they share the complete pages
   */
  roomFor(shared: number, branches = 1, prompt = 0): number {
    const { layout, frames } = this.memory;
    const left = frames - this.#pinnedFrames + shared;
    if (branches === 1) return layout.tokensIn(left);
    const common = Math.floor(prompt / PAGE_TOKENS) * PAGE_TOKENS;
    const own = left - layout.completeFramesOf(common);
    return common + layout.tokensIn(Math.floor(own / branches));
  }

  /** Frames of the first pages of `tokens` that are pinned. */
  pinnedOf(tokens: readonly number[]): number {
    return this.#pinnedFrames === 0 ? 0 : this.pinnedFramesOf(this.#pagesOf(tokens));
  }

  /** Frames of some pages that are pinned. */
  pinnedFramesOf(pages: readonly Page[]): number {
    const { layout } = this.memory;
    return pages
      .flatMap(partsOf)
      .reduce((sum, { name, pins }) => sum + (pins > 0 ? layout.partFrames(name) : 0), 0);
  }

  /** Complete pages that there is room for. */
  get #pageCount(): number {
    return Math.floor(this.memory.frames / this.memory.layout.pageFrames);
  }

  get stats(): KvStats {
    const { memory } = this;
    const { pageFrames, type, frameBytes } = memory.layout;
    return {
      type,
      pages: this.#pageCount,
      used: Math.ceil((memory.frames - memory.freeFrames - this.#unheldFrames) / pageFrames),
      cached: Math.floor(this.#unheldFrames / pageFrames),
      pinned: Math.ceil(this.#pinnedFrames / pageFrames),
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
   * open page, as only pages that a step goes on in have all of them.
   */
  get freePages(): number {
    const { freeFrames, layout } = this.memory;
    const { openFrames, rowFrames } = layout;
    const frames = freeFrames + this.#unheldFrames;
    const open = Math.floor(frames / openFrames);
    return Math.max(open, Math.floor((frames - this.#mostOpened * rowFrames) / (openFrames - rowFrames)));
  }

  /**
   * Refuses what may not be pinned, all its pages in the pool or not: half of the pages are for sequences.
   * @throws PynqLlmError LLM_KV_PINNED
   */
  checkPin(tokens: readonly number[]): void {
    const { layout } = this.memory;
    const pages = Math.floor(tokens.length / PAGE_TOKENS);
    const known = this.#pagesOf(tokens);
    let more = 0;
    for (let i = 0; i < pages; i++)
      for (const name of this.#pinnedParts(i, pages))
        if (!known[i]?.[name]?.pins) more += layout.partFrames(name);
    const most = Math.floor(this.#pageCount * MOST_PINNED);
    if (more === 0 || this.#pinnedFrames + more <= most * layout.pageFrames) return;
    const { pinned } = this.stats;
    const morePages = Math.ceil(more / layout.pageFrames);
    throw new PynqLlmError(
      'LLM_KV_PINNED',
      `To pin ${pages} pages, ${morePages} more have to be kept; ${pinned} are, and ${most} of the ${this.#pageCount} may be.`,
      { context: { pages, more: morePages, pinned, most } },
    );
  }

  /** What a pin of `pages` pages keeps of page `i`: windows that end in its last page, or with it. */
  #pinnedParts(i: number, pages: number): PartName[] {
    const { layout } = this.memory;
    const isSeen = i >= layout.windowStart((pages - 1) * PAGE_TOKENS);
    return isSeen && layout.window > 0 ? ['full', 'windowed'] : ['full'];
  }

  /**
   * Keeps the complete pages of `tokens` that are in the pool until the pin is released: as many as a sequence can go on after.
   * @throws PynqLlmError LLM_KV_PINNED
   */
  pin(tokens: readonly number[]): KvPin {
    const found = this.#pagesOf(tokens);
    const pages = found.slice(0, this.rightEnd(found, 0));
    const whole = tokens.slice(0, pages.length * PAGE_TOKENS);
    this.checkPin(whole);
    const pinned: [Page, PagePart][] = [];
    for (const [i, page] of pages.entries())
      for (const name of this.#pinnedParts(i, pages.length)) {
        // Of a window that ends a page before the last one the first part may be gone.
        const part = page[name];
        if (part === undefined) continue;
        this.hold(page, name);
        if (part.pins++ === 0) this.#pinnedFrames += this.memory.layout.partFrames(name);
        pinned.push([page, part]);
      }
    const unpinned = pinned.length > 0 ? this.recorder?.pinned(whole) : undefined;
    const release = () => {
      if (!this.#pins.delete(release)) return;
      unpinned?.();
      for (const [page, part] of pinned.reverse()) {
        if (--part.pins === 0) this.#pinnedFrames -= this.memory.layout.partFrames(part.name);
        this.drop(page, part.name);
      }
    };
    this.#pins.add(release);
    return { tokens: pages.length * PAGE_TOKENS, release };
  }

  /** Forgets what no cache holds, whoever pinned it: a pin that is released then is nothing. */
  forget(): void {
    for (const release of [...this.#pins]) release();
    this.clear();
  }

  /** Forgets what nobody holds. */
  clear(): void {
    this.recorder?.cleared();
    for (const [part, page] of this.#unheld) this.#evict(part, page);
  }

  /**
   * A page with room for what an open one has, or only for what a settled one has, held once, or nothing where all is held.
   * @param isWhole whether with what layers with a window keep
   */
  newPage(kind: 'open' | 'settled' = 'open', isWhole = true): Page | undefined {
    const { groups, window, type, keptRowFrames, rowFrames } = this.memory.layout;
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
        for (const [i, frame] of part[kind].entries()) this.memory.copy(frame, copy[part.name]![kind][i]);
    return copy;
  }

  /** Gives a page room for INT8; false where all is held. */
  takeBytes(page: Page): boolean {
    const { groups } = this.memory.layout;
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
   * The pages of `tokens` after `pages` that are there, up to where a sequence can go on; not held. The last token's is not
   * among them: it has to be computed for its logits.
   * @param pages of their beginning, after which a sequence can go on
   */
  following(pages: readonly Page[], tokens: readonly number[]): Page[] {
    const all = this.#pagesOf(tokens.slice(0, -1), pages);
    return all.slice(pages.length, this.rightEnd(all, pages.length));
  }

  /** Holds a page instead of computing it. */
  adopt(page: Page): void {
    this.#hits++;
    this.hold(page, 'full');
  }

  /** After how many of some pages, at most all, a sequence can go on: its window's are there. Of `least` pages it is known. */
  rightEnd(pages: readonly Page[], least: number): number {
    const { layout } = this.memory;
    if (layout.window === 0) return pages.length;
    let [right, since] = [least, 0];
    for (const [i, { windowed }] of pages.entries()) {
      if (windowed === undefined) since = i + 1;
      if (i >= least && since <= layout.windowStart((i + 1) * PAGE_TOKENS)) right = i + 1;
    }
    return right;
  }

  /**
   * What a prompt need not compute, and what it needs next.
   * @param pages of its beginning, after which a sequence can go on
   */
  prospect(tokens: readonly number[], pages: readonly Page[] = []): Prospect {
    const found = this.following(pages, tokens);
    const from = (pages.length + found.length) * PAGE_TOKENS;
    const next = tokens.slice(from, from + PAGE_TOKENS);
    const isLast = from + PAGE_TOKENS >= tokens.length;
    return {
      found: found.length * PAGE_TOKENS,
      page: isLast ? undefined : hashAfter(found.at(-1) ?? pages.at(-1), next),
    };
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

  /**
   * Complete pages that prompts can begin with, by their hashes: see pageHash. Parts of layers with a window may be gone from them.
   * @param since a version that was told before: then what changed since, if that is known
   */
  heldPages(since?: number): HeldPages {
    return this.#index.held(since);
  }

  countPreemption(): void {
    this.#preemptions++;
  }

  countSpill(outcome: 'restored' | 'failed'): void {
    if (outcome === 'restored') this.#restored++;
    else this.#spillFailures++;
  }

  /** The complete pages of `tokens` that are there, up to the first that is not. @param known the first of them */
  #pagesOf(tokens: readonly number[], known: readonly Page[] = []): Page[] {
    const pages = [...known];
    for (let at = pages.length * PAGE_TOKENS; at + PAGE_TOKENS <= tokens.length; at += PAGE_TOKENS) {
      const page = this.#index.find(pages.at(-1), tokens.slice(at, at + PAGE_TOKENS));
      if (page === undefined) break;
      pages.push(page);
    }
    return pages;
  }

  #take(frames: number): number[] {
    return Array.from({ length: frames }, () => this.memory.take());
  }

  #makeRoom(frames: number): boolean {
    for (const [part, page] of this.#unheld) {
      if (this.memory.freeFrames >= frames) break;
      this.#evict(part, page);
      if (part === page.full) this.#evictions++;
    }
    return this.memory.freeFrames >= frames;
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
    for (const frame of [...part.bytes, ...part.keptRows]) this.memory.giveBack(frame);
    part.bytes = [];
    part.keptRows = [];
    if (part === page.windowed) page.windowed = undefined;
  }

  #dropRows(part: PagePart): void {
    for (const frame of part.rows) this.memory.giveBack(frame);
    part.rows = [];
  }

  /** Gives up the halves of what is INT8 for good, or will be nothing. */
  #dropHalves(part: PagePart): void {
    for (const frame of [...part.keys, ...part.values]) this.memory.giveBack(frame);
    part.keys = [];
    part.values = [];
  }
}

function partOf(page: Page, name: PartName): PagePart {
  const part = page[name];
  if (part === undefined) throw new Error('what is held of a page is there');
  return part;
}
