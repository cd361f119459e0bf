import { describe, expect, it } from 'vitest';
import type { Page } from '../../../../llm/kv/page.js';
import { PAGE_TOKENS } from '../../../../llm/kv/page.js';
import { PrefixIndex, pageHash } from '../../../../llm/kv/prefix-index.js';
import { Random } from '../../../../maths/index.js';

const newPage = (): Page => ({
  full: { name: 'full', keys: [], values: [], bytes: [], keptRows: [], rows: [], holders: 0, pins: 0 },
  windowed: undefined,
  entry: undefined,
});

/** A page of its own content for each number. */
const tokensOf = (page: number) => Array.from({ length: PAGE_TOKENS }, (_, i) => page * 31 + i);

describe('which prefix pages are kept', () => {
  it('is known to who follows the changes, those of before again too, and asks for all where too many came', () => {
    const random = new Random(5);
    const index = new PrefixIndex();
    const there: Page[] = [];
    const truth = new Set<number>();
    let next = 0;
    const change = () => {
      if (there.length > 0 && random.nextDouble() < 0.45) {
        const [page] = there.splice(Math.floor(random.nextDouble() * there.length), 1);
        truth.delete(page!.entry!.hash);
        return index.remove(page!);
      }
      const page = newPage();
      index.add(page, undefined, tokensOf(next++));
      truth.add(page.entry!.hash);
      there.push(page);
    };
    let known = new Set<number>();
    let version: number | undefined;
    let before: number | undefined;
    let wholes = 0;
    for (let round = 0; round < 300; round++) {
      const changes = round % 50 === 49 ? 5_000 : Math.floor(random.nextDouble() * 20);
      for (let i = 0; i < changes; i++) change();
      // What is told since the version before the last one says the last ones' changes again.
      const held = index.held(round % 3 === 0 ? before : version);
      if (held.isWhole) {
        wholes++;
        known = new Set(held.added);
      } else {
        for (const hash of held.removed) known.delete(hash);
        for (const hash of held.added) known.add(hash);
      }
      before = version;
      version = held.version;
      expect(known).toEqual(truth);
    }
    expect(wholes).toBeGreaterThanOrEqual(7);
    expect(wholes).toBeLessThan(30);
  });

  it('is said of a page once for two that have one hash', () => {
    const index = new PrefixIndex();
    const [first, second] = [newPage(), newPage()];
    // FNV-1a takes in 32 bits of a number: these two are the same to it, and not the same tokens.
    const [a, b] = [tokensOf(1), tokensOf(1).map((token) => token + 2 ** 32)];
    expect(pageHash(undefined, a)).toBe(pageHash(undefined, b));
    index.add(first, undefined, a);
    index.add(second, undefined, b);
    const { version, added } = index.held(undefined);
    expect(added).toEqual([pageHash(undefined, a)]);
    index.remove(first);
    expect(index.held(version)).toMatchObject({ added: [], removed: [] });
    index.remove(second);
    expect(index.held(version).removed).toEqual(added);
  });

  it('is everything for one who knows a later version than there is', () => {
    const index = new PrefixIndex();
    index.add(newPage(), undefined, tokensOf(1));
    expect(index.held(7)).toMatchObject({ version: 1, isWhole: true });
    expect(index.held(1)).toEqual({ version: 1, isWhole: false, added: [], removed: [] });
  });
});
