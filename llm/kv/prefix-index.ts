import type { Page } from './page.js';

/**
 * Complete pages by content. A page's content follows from its tokens and those of all pages before it, so its key is the
 * hash of all of them, chained page by page. A hash is never trusted: a page is found where its own tokens are equal and the
 * page before it is the one found for the tokens before, and so the whole prefix is equal.
 */
export class PrefixIndex {
  readonly #pages = new Map<number, Page[]>();

  /** The page of `tokens` after `prefix`. */
  find(prefix: Page | undefined, tokens: ArrayLike<number>): Page | undefined {
    const sameHash = this.#pages.get(pageHash(prefix, tokens));
    return sameHash?.find(
      ({ entry }) => entry !== undefined && entry.prefix === prefix && equal(entry.tokens, tokens),
    );
  }

  /** @param prefix a page that is in the index and stays in it as long as `page` */
  add(page: Page, prefix: Page | undefined, tokens: ArrayLike<number>): void {
    const hash = pageHash(prefix, tokens);
    page.entry = { prefix, tokens: Int32Array.from(tokens), hash };
    const sameHash = this.#pages.get(hash);
    if (sameHash === undefined) this.#pages.set(hash, [page]);
    else sameHash.push(page);
  }

  remove(page: Page): void {
    if (page.entry === undefined) return;
    const { hash } = page.entry;
    page.entry = undefined;
    const others = (this.#pages.get(hash) ?? []).filter((other) => other !== page);
    if (others.length === 0) this.#pages.delete(hash);
    else this.#pages.set(hash, others);
  }
}

/** Of the page of `tokens` after `prefix`: FNV-1a, a token at a time, from the prefix's hash on. */
export function pageHash(prefix: Page | undefined, tokens: ArrayLike<number>): number {
  let hash = prefix?.entry?.hash ?? 0x811c9dc5;
  for (let i = 0; i < tokens.length; i++) hash = Math.imul(hash ^ tokens[i], 0x01000193);
  return hash;
}

function equal(a: Int32Array, b: ArrayLike<number>): boolean {
  return a.length === b.length && a.every((token, i) => token === b[i]);
}
