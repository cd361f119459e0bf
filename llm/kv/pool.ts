import { ThreadPool } from '../threads/thread-pool.js';
import { SEQUENCES } from './default-memory.js';
import { KvLayout, type KvShape, type KvType, PAGE_TOKENS } from './layout.js';
import { KvMemory } from './memory.js';
import type { Page } from './page.js';
import type { HeldPages } from './page-changes.js';
import { PageStore } from './page-store.js';
import { Pins } from './pins.js';
import type { PoolShape } from './pool-shape.js';
import { hashAfter, PrefixIndex } from './prefix-index.js';
import type { Prospect } from './prospect.js';

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
  /** What caches hold pages by. */
  readonly pages: PageStore;
  readonly pins: Pins;
  readonly #index = new PrefixIndex();
  /** Pages that a step goes on in, at most. */
  readonly #mostOpened: number;
  #hits = 0;
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
    this.pages = new PageStore(this.memory, this.#index);
    this.pins = new Pins(this.memory, this.pages);
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
    const left = frames - this.pins.frames + shared;
    if (branches === 1) return layout.tokensIn(left);
    const common = Math.floor(prompt / PAGE_TOKENS) * PAGE_TOKENS;
    const own = left - layout.completeFramesOf(common);
    return common + layout.tokensIn(Math.floor(own / branches));
  }

  /** Frames of the first pages of `tokens` that are pinned. */
  pinnedOf(tokens: readonly number[]): number {
    return this.pins.frames === 0 ? 0 : this.pins.framesOf(this.#index.pagesOf(tokens));
  }

  get stats(): KvStats {
    const { memory } = this;
    const { pageFrames, type, frameBytes } = memory.layout;
    return {
      type,
      pages: memory.completePages,
      used: Math.ceil((memory.frames - memory.freeFrames - this.pages.unheldFrames) / pageFrames),
      cached: Math.floor(this.pages.unheldFrames / pageFrames),
      pinned: this.pins.pages,
      bytes: memory.frames * frameBytes,
      hits: this.#hits,
      evictions: this.pages.evictions,
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
    const frames = freeFrames + this.pages.unheldFrames;
    const open = Math.floor(frames / openFrames);
    return Math.max(open, Math.floor((frames - this.#mostOpened * rowFrames) / (openFrames - rowFrames)));
  }

  /**
   * Refuses what may not be pinned, all its pages in the pool or not.
   * @throws PynqLlmError LLM_KV_PINNED
   */
  checkPin(tokens: readonly number[]): void {
    this.pins.check(Math.floor(tokens.length / PAGE_TOKENS), this.#index.pagesOf(tokens));
  }

  /**
   * Keeps the complete pages of `tokens` that are in the pool until the pin is released: as many as a sequence can go on after.
   * @throws PynqLlmError LLM_KV_PINNED
   */
  pin(tokens: readonly number[]): KvPin {
    const found = this.#index.pagesOf(tokens);
    const pages = found.slice(0, this.rightEnd(found, 0));
    this.pins.check(pages.length, pages);
    const whole = tokens.slice(0, pages.length * PAGE_TOKENS);
    const unpinned = pages.length > 0 ? this.recorder?.pinned(whole) : undefined;
    return { tokens: pages.length * PAGE_TOKENS, release: this.pins.add(pages, unpinned) };
  }

  /** Forgets what no cache holds, whoever pinned it: a pin that is released then is nothing. */
  forget(): void {
    this.pins.releaseAll();
    this.clear();
  }

  /** Forgets what nobody holds. */
  clear(): void {
    this.recorder?.cleared();
    this.pages.clear();
  }

  /**
   * The pages of `tokens` after `pages` that are there, up to where a sequence can go on; not held. The last token's is not
   * among them: it has to be computed for its logits.
   * @param pages of their beginning, after which a sequence can go on
   */
  following(pages: readonly Page[], tokens: readonly number[]): Page[] {
    const all = this.#index.pagesOf(tokens.slice(0, -1), pages);
    return all.slice(pages.length, this.rightEnd(all, pages.length));
  }

  /** Holds a page instead of computing it. */
  adopt(page: Page): void {
    this.#hits++;
    this.pages.hold(page, 'full');
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
}
