import { PAGE_TOKENS, type Page } from './page.js';
import { type HeldPages, PageChanges } from './page-changes.js';

/**
 * Complete pages by content. A page's content follows from its tokens and those of all pages before it, so its key is the
 * hash of all of them, chained page by page. A hash is never trusted: a page is found where its own tokens are equal and the
 * page before it is the one found for the tokens before, and so the whole prefix is equal.
 */
export class PrefixIndex {
  readonly #pages = new Map<number, Page[]>();
  readonly #changes = new PageChanges();

  /** The page of `tokens` after `prefix`. */
  find(prefix: Page | undefined, tokens: ArrayLike<number>): Page | undefined {
    const sameHash = this.#pages.get(hashAfter(prefix, tokens));
    return sameHash?.find(
      ({ entry }) => entry !== undefined && entry.prefix === prefix && equal(entry.tokens, tokens),
    );
  }

  /** The complete pages of `tokens` that are there, up to the first that is not. @param known the first of them */
  pagesOf(tokens: readonly number[], known: readonly Page[] = []): Page[] {
    const pages = [...known];
    for (let at = pages.length * PAGE_TOKENS; at + PAGE_TOKENS <= tokens.length; at += PAGE_TOKENS) {
      const page = this.find(pages.at(-1), tokens.slice(at, at + PAGE_TOKENS));
      if (page === undefined) break;
      pages.push(page);
    }
    return pages;
  }

  /** @param prefix a page that is in the index and stays in it as long as `page` */
  add(page: Page, prefix: Page | undefined, tokens: ArrayLike<number>): void {
    const hash = hashAfter(prefix, tokens);
    page.entry = { prefix, tokens: Int32Array.from(tokens), hash };
    const sameHash = this.#pages.get(hash);
    if (sameHash !== undefined) sameHash.push(page);
    else {
      this.#pages.set(hash, [page]);
      this.#changes.note(hash, true);
    }
  }

  remove(page: Page): void {
    if (page.entry === undefined) return;
    const { hash } = page.entry;
    page.entry = undefined;
    const others = (this.#pages.get(hash) ?? []).filter((other) => other !== page);
    if (others.length > 0) this.#pages.set(hash, others);
    else {
      this.#pages.delete(hash);
      this.#changes.note(hash, false);
    }
  }

  /** Which hashes pages have that are here. @param since a version that was told before */
  held(since: number | undefined): HeldPages {
    return this.#changes.held(since, this.#pages.keys());
  }
}

/** The hash of the page of `tokens` after `prefix`. */
export function hashAfter(prefix: Page | undefined, tokens: ArrayLike<number>): number {
  return pageHash(prefix?.entry?.hash, tokens);
}

/**
 * Of the page of `tokens`: FNV-1a, a token at a time, from the hash of the page before on. A signed number of 32 bits, the same
 * wherever it is computed: who places requests knows a board's pages by it.
 */
export function pageHash(before: number | undefined, tokens: ArrayLike<number>): number {
  let hash = before ?? 0x811c9dc5;
  for (let i = 0; i < tokens.length; i++) hash = Math.imul(hash ^ tokens[i], 0x01000193);
  return hash;
}

function equal(a: Int32Array, b: ArrayLike<number>): boolean {
  return a.length === b.length && a.every((token, i) => token === b[i]);
}
