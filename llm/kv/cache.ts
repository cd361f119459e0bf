import { PynqLlmError } from '../../errors/index.js';
import type { AttentionOptions } from './attention.js';
import { PAGE_TOKENS, type PartName } from './layout.js';
import { framesOf, hasBytes, hasHalves, type Page, type PagePart, partsOf } from './page.js';
import type { KvPool } from './pool.js';
import { NO_PROSPECT, type Prospect } from './prospect.js';
import type { SpilledFrames, SpillFolder } from './spill-folder.js';

/**
 * Keys and values of one sequence: a table of pages of a pool, and the attention over them.
 *
 * A page is open until its 16 tokens are there; then it is complete, and with INT8 quantised at once: the tokens after it
 * see INT8 even in the same step, its own tokens saw halves. So what a token sees follows from its position alone. The halves
 * stay until {@link settle} says that the tokens are certain, so that they can be taken back to the bit.
 *
 * Of pages that no certain token's window reaches any more the part of layers with a window is let go.
 */
export class KvCache {
  readonly #pool: KvPool;
  readonly #pages: Page[] = [];
  /** Of each group of layers for every page the addresses that the tokens after it read: see assembly/attention.ts. */
  readonly #tables: Readonly<Record<PartName, readonly Uint32Array[]>>;
  readonly #tokens: number[] = [];
  /** Leading pages that are settled. */
  #settled = 0;
  /** The first page whose part of layers with a window is held; those after it are, too. */
  #windowFrom = 0;
  /** What was here before it made room for others. */
  #spilled:
    | { readonly tokens: readonly number[]; readonly windowFrom: number; readonly frames: SpilledFrames }
    | undefined;

  /**
   * Takes pages of `pool` as the sequence grows, and has to be released.
   * @param maxTokens most tokens that are ever stored
   */
  constructor(
    pool: KvPool,
    readonly maxTokens: number,
  ) {
    this.#pool = pool;
    const { groups } = pool.memory.layout;
    const words = 2 * Math.ceil(maxTokens / PAGE_TOKENS);
    const tables = (count: number) => Array.from({ length: count }, () => new Uint32Array(words));
    this.#tables = { full: tables(groups.full), windowed: tables(groups.windowed) };
  }

  /** The tokens whose keys and values are in the cache. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** How many. */
  get length(): number {
    return this.#tokens.length;
  }

  /**
   * Tokens that fit into the open page, and open pages that there would be room for without this cache. With INT8 an open
   * page completes only where there is room for its INT8 too.
   */
  get memory(): { readonly room: number; readonly pages: number } {
    const { layout } = this.#pool.memory;
    const last = PAGE_TOKENS - (layout.type === 'int8' ? 1 : 0);
    const own = this.#pages
      .flatMap((page, i) => this.#heldOf(page, i))
      .filter(({ holders }) => holders === 1);
    const frames = own.reduce((sum, part) => sum + framesOf(part).length, 0);
    return {
      room: Math.max(0, (this.length % PAGE_TOKENS === 0 ? 0 : last) - (this.length % PAGE_TOKENS)),
      pages: Math.floor(frames / layout.openFrames),
    };
  }

  /** Tokens that it could hold if all other sequences made room; pinned pages of others stay. */
  get mostTokens(): number {
    return Math.min(this.maxTokens, this.#pool.roomFor(this.#pool.pins.framesOf(this.#pages)));
  }

  /**
   * Shares the pages that the pool has for the longest prefix of `tokens` beyond what the cache holds, the last of `tokens`
   * excepted: it has to be computed for its logits. The cache holds the beginning of `tokens`, all of it certain.
   */
  adopt(tokens: readonly number[]): void {
    this.settle();
    if (this.length % PAGE_TOKENS !== 0) return;
    const found = this.#pool.following(this.#pages, tokens);
    const end = this.length + found.length * PAGE_TOKENS;
    const windowStart = this.#pool.memory.layout.windowStart(end);
    for (const page of found) {
      this.#pool.adopt(page);
      if (this.#settled >= windowStart) this.#holdWindowed(page);
      this.#place(this.#settled++, page);
    }
    for (let at = this.length; at < end; at++) this.#tokens.push(tokens[at]);
    this.#dropWindowedBefore(windowStart, this.#pages.length - found.length);
  }

  /** What is before it on the way to `tokens`, with which it begins, after its settled pages. */
  prospect(tokens: readonly number[]): Prospect {
    const own = this.length % PAGE_TOKENS;
    const prospect = this.#pool.prospect(tokens, this.#pages.slice(0, this.#settled));
    // Who is within a page computes the rest of it.
    return own > 0 && prospect.found > 0 ? NO_PROSPECT : prospect;
  }

  /**
   * Makes room for tokens up to `length`, as far as there is any.
   * @returns the length that the cache can be extended to, at most `length`
   * @throws PynqLlmError LLM_KV_FULL where there is no room for a single one
   */
  reserve(length: number): number {
    const end = Math.min(length, this.maxTokens);
    for (let position = this.length; position < end; position++) {
      if (this.#makePlace(position)) continue;
      if (position === this.length) throw this.#full();
      return position;
    }
    return end;
  }

  /**
   * Makes a place for `token` at `position`: the next one, or an earlier one, which forgets what came after it.
   * @throws PynqLlmError LLM_POSITION_RANGE, LLM_KV_FULL
   */
  extendTo(position: number, token: number): void {
    if (Number.isInteger(position) && position >= 0) this.truncate(position);
    if (position !== this.length || position >= this.maxTokens) {
      throw new PynqLlmError(
        'LLM_POSITION_RANGE',
        `Position ${position} cannot be filled: the cache holds ${this.length} of at most ${this.maxTokens} tokens.`,
        { context: { position, length: this.length, maxTokens: this.maxTokens } },
      );
    }
    if (!this.#makePlace(position)) throw this.#full();
    this.#tokens.push(token);
  }

  /**
   * Forgets all tokens from `length` on. Within a settled page this goes back to the page's beginning where the page has not all
   * that a next token would need: the halves of an INT8 page are gone, and of rows of convolutions all but the last; and where keys and values are gone that the window of the next token reaches, to where they are not.
   */
  truncate(length: number): void {
    if (length >= this.length) return;
    const page = this.#pages[Math.floor(length / PAGE_TOKENS)];
    const isReduced = !hasHalves(page) || page.full.rows.length < this.#pool.memory.layout.rowFrames;
    const kept = this.#wholeWindow(isReduced ? length - (length % PAGE_TOKENS) : length);
    this.#dropPagesFrom(Math.ceil(kept / PAGE_TOKENS));
    const held = Math.min(this.#windowFrom, this.#pages.length);
    this.#windowFrom = Math.min(held, this.#pool.memory.layout.windowStart(kept));
    for (let i = this.#windowFrom; i < held; i++) {
      this.#holdWindowed(this.#pages[i]);
      this.#place(i, this.#pages[i]);
    }
    this.#tokens.length = kept;
    this.#settled = Math.min(this.#settled, Math.floor(kept / PAGE_TOKENS));
  }

  /** The most tokens up to `length` after which everything is there that the next token's window reaches. */
  #wholeWindow(length: number): number {
    const start = this.#pool.memory.layout.windowStart(length);
    const pages = this.#pages.slice(0, Math.ceil(length / PAGE_TOKENS));
    const { windowed: groups } = this.#tables;
    if (groups.length === 0 || pages.slice(start).every(({ windowed }) => windowed !== undefined))
      return length;
    return PAGE_TOKENS * this.#pool.rightEnd(pages.slice(0, Math.floor(length / PAGE_TOKENS)), 0);
  }

  /**
   * Says that all tokens are certain: their step has succeeded and none was a draft that may be rejected. Complete pages
   * take their final form and can be shared; room that was reserved beyond them is given back.
   * @param certain how many are, where a step of later ones is under way
   */
  settle(certain = this.length): void {
    this.#dropPagesFrom(Math.ceil(this.length / PAGE_TOKENS));
    const complete = Math.floor(certain / PAGE_TOKENS);
    for (let i = this.#settled; i < complete; i++) {
      const tokens = this.#tokens.slice(i * PAGE_TOKENS, (i + 1) * PAGE_TOKENS);
      this.#place(i, this.#pool.pages.settle(this.#pages[i], this.#pages[i - 1], tokens));
      this.#settled = i + 1;
    }
    this.#dropWindowedBefore(this.#pool.memory.layout.windowStart(certain), this.#pages.length);
  }

  /** A second cache of the same tokens, all of them certain, on the same pages: whoever goes on in an open page copies it. */
  fork(): KvCache {
    this.settle();
    const fork = this.sibling();
    for (const [i, page] of this.#pages.entries()) {
      for (const { name } of this.#heldOf(page, i)) this.#pool.pages.hold(page, name);
      fork.#place(i, page);
    }
    fork.#windowFrom = this.#windowFrom;
    for (const token of this.#tokens) fork.#tokens.push(token);
    fork.#settled = this.#settled;
    return fork;
  }

  /** An empty cache of the same kind. */
  protected sibling(): KvCache {
    return new KvCache(this.#pool, this.maxTokens);
  }

  /**
   * Gives back the pages; what was in them goes to a file for {@link restore}, where the folder has room for it.
   * All tokens have to be certain.
   */
  spill(folder: SpillFolder): void {
    this.settle();
    if (this.length === 0) return;
    const [tokens, windowFrom] = [[...this.#tokens], this.#windowFrom];
    const frames = folder.write(this.#pages.flatMap((page, i) => this.#contentsOf(page, i)));
    if (frames === undefined) this.#pool.countSpill('failed');
    this.release();
    this.#spilled = frames && { tokens, windowFrom, frames };
  }

  /**
   * Brings back what was spilled, to the bit. Where the file is damaged the cache stays empty: all is to be computed again.
   * @throws PynqLlmError LLM_KV_FULL where there is no room; the file stays
   */
  restore(): void {
    if (this.#spilled === undefined) return;
    const { tokens, windowFrom, frames } = this.#spilled;
    this.adopt(tokens);
    const adopted = this.#pages.length;
    this.#dropWindowedBefore(windowFrom, adopted);
    while (this.#pages.length * PAGE_TOKENS < tokens.length) this.#placeSpilled(tokens.length);
    // Of adopted pages the file has nothing new, but its digest is over all of it.
    const aside = new Uint8Array(this.#pool.memory.layout.frameBytes);
    const contents = this.#pages.map((page, i) =>
      this.#contentsOf(page, i).map((content) => (i < adopted ? aside : content)),
    );
    const intact = frames.readInto(contents.flat());
    this.#pool.countSpill(intact ? 'restored' : 'failed');
    if (!intact) {
      this.release();
      return;
    }
    for (const token of tokens.slice(this.length)) this.#tokens.push(token);
    frames.delete();
    this.#spilled = undefined;
    this.settle();
  }

  /** Forgets everything and gives back the pages; those that are settled stay in the pool for others as long as there is room. */
  release(): void {
    this.#spilled?.frames.delete();
    this.#spilled = undefined;
    this.#giveBackPages();
  }

  #giveBackPages(): void {
    this.truncate(0);
    this.#dropPagesFrom(0);
  }

  /** A page for the next frames of a file with so many tokens. */
  #placeSpilled(tokens: number): void {
    const i = this.#pages.length;
    const isComplete = (i + 1) * PAGE_TOKENS <= tokens;
    const page = this.#pool.pages.newPage(isComplete ? 'settled' : 'open', i >= this.#windowFrom);
    if (page === undefined) {
      this.#giveBackPages();
      throw this.#full();
    }
    this.#place(i, page);
  }

  /** What the `i`th page, settled or open, consists of here. */
  #contentsOf(page: Page, i: number): Uint8Array[] {
    const frames = this.#heldOf(page, i).flatMap(({ keys, values, bytes, keptRows, rows }) => [
      ...(hasHalves(page) ? [...keys, ...values] : bytes),
      ...keptRows,
      ...rows,
    ]);
    return frames.map((frame) => this.#pool.memory.contentOf(frame));
  }

  /** The parts of the `i`th page that are held. */
  #heldOf(page: Page, i: number): PagePart[] {
    return i < this.#windowFrom ? [page.full] : partsOf(page);
  }

  /** Holds what layers with a window keep of a page, where there are any. */
  #holdWindowed(page: Page): void {
    if (this.#tables.windowed.length > 0) this.#pool.pages.hold(page, 'windowed');
  }

  /** Lets go of what layers with a window keep of the pages before `start`, of the first `count` pages; those after have none. */
  #dropWindowedBefore(start: number, count: number): void {
    for (let i = this.#windowFrom; i < Math.min(start, count); i++)
      this.#pool.pages.drop(this.#pages[i], 'windowed');
    this.#windowFrom = Math.max(this.#windowFrom, start);
  }

  /** Rounds the key and the value of the token at `position` to halves: kvHeads * headDim values from `at` on in each. */
  store(layer: number, position: number, keys: Float32Array, values: Float32Array, at: number): void {
    const { memory } = this.#pool;
    const page = this.#pages[Math.floor(position / PAGE_TOKENS)];
    const slot = position % PAGE_TOKENS;
    memory.store(page, layer, slot, keys, values, at);
    if (slot === PAGE_TOKENS - 1 && hasBytes(page)) memory.quantize(page, layer);
  }

  /** Keeps the row that convolutions of a layer go over, of the token at `position`: its width from `at` on. */
  storeRow(layer: number, position: number, rows: Float32Array, at: number): void {
    const row = this.row(layer, position);
    row.set(rows.subarray(at, at + row.length));
  }

  /**
   * The row of the token at `position`, in place: one of those that a convolution of a token whose page is not settled goes over.
   */
  row(layer: number, position: number): Float32Array {
    const page = this.#pages[Math.floor(position / PAGE_TOKENS)];
    return this.#pool.memory.rowOf(page, layer, position % PAGE_TOKENS);
  }

  /**
   * Makes the token at `position`, whose own key and value are stored, and whose page is not settled, a column of the next
   * {@link attend}, of the same layer.
   *
   * @param queries heads * headDim float32 values from `at` on, already rotated
   */
  queue(layer: number, column: number, position: number, queries: Float32Array, at: number): void {
    const { memory } = this.#pool;
    const { part: name, group } = memory.layout.placeOf(layer);
    const firstPage = name === 'full' ? 0 : memory.layout.windowStart(position);
    const own = this.#pages[Math.floor(position / PAGE_TOKENS)][name];
    if (own === undefined || (name === 'windowed' && firstPage < this.#windowFrom))
      throw new Error('what a window reaches is held');
    const [keys, values] = [memory.addressOf(own.keys[group]), memory.addressOf(own.values[group])];
    memory.attention.set(column, position, this.#tables[name][group], firstPage, keys, values, queries, at);
  }

  /**
   * Grouped-query attention of the first `n` columns that were queued, of any caches of the pool.
   *
   * @param out receives heads * headDim values a column
   * @param options of the layer; LLaMA's unless given
   * @throws PynqLlmError LLM_THREAD_LOST
   */
  attend(layer: number, n: number, out: Float32Array, options?: AttentionOptions): void {
    this.#pool.memory.attention.run(layer, n, out, options);
  }

  /** Whether there is a place for a token at `position` that may be written. */
  #makePlace(position: number): boolean {
    const pool = this.#pool;
    const i = Math.floor(position / PAGE_TOKENS);
    let page: Page | undefined = this.#pages[i];
    if (page === undefined) {
      page = pool.pages.newPage();
      if (page === undefined) return false;
      this.#place(i, page);
    } else if (page.full.holders > 1 || page.entry !== undefined) {
      const copy = pool.pages.copyOf(page);
      if (copy === undefined) return false;
      for (const { name } of this.#heldOf(page, i).reverse()) pool.pages.drop(page, name);
      page = copy;
      this.#place(i, page);
    }
    const completes = position % PAGE_TOKENS === PAGE_TOKENS - 1;
    if (!completes || pool.memory.layout.type === 'f16' || hasBytes(page)) return true;
    if (!pool.pages.takeBytes(page)) return false;
    this.#place(i, page);
    return true;
  }

  #full(): PynqLlmError {
    const { pages, bytes } = this.#pool.stats;
    return new PynqLlmError(
      'LLM_KV_FULL',
      `All ${pages} pages of keys and values are in use: there is none for position ${this.length}.`,
      { context: { position: this.length, pages, bytes } },
    );
  }

  #place(i: number, page: Page): void {
    const { memory } = this.#pool;
    const isInt8 = memory.layout.type === 'int8';
    this.#pages[i] = page;
    for (const { name, keys, values, bytes } of partsOf(page))
      for (const [group, table] of this.#tables[name].entries()) {
        table[2 * i] = memory.addressOf(isInt8 ? bytes[group] : keys[group]);
        table[2 * i + 1] = isInt8 ? 0 : memory.addressOf(values[group]);
      }
  }

  #dropPagesFrom(first: number): void {
    for (let i = this.#pages.length - 1; i >= first; i--) {
      const page = this.#pages[i];
      for (const { name } of this.#heldOf(page, i).reverse()) this.#pool.pages.drop(page, name);
      this.#pages.length = i;
    }
    if (this.#pages.length === 0) this.#windowFrom = 0;
  }
}
