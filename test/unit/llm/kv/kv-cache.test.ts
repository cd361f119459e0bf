import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { KvType } from '../../../../llm/kv/layout.js';
import type { KvPool } from '../../../../llm/kv/pool.js';
import { SpillFolder } from '../../../../llm/kv/spill-folder.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import type { Model } from '../../../../llm/model/model.js';
import { feed, reference } from './monkey.js';
import { CACHES, CONVOLVING, cachesAreRight, TINY, tiny } from './sweeps.js';

const folder = mkdtempSync(join(tmpdir(), 'kv-cache-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(CACHES)('a cache in pages of %s, with %s', (type, _, gguf) => {
  const other = tiny(type, 64, gguf);

  // test/long has more of them.
  it('gives the logits of tokens fed one by one, whatever is done with it', () => {
    cachesAreRight(type, gguf, folder, { seeds: 1, leastHits: 0 });
  });

  it('is adopted by a sequence with the same beginning, up to the page before its last token', () => {
    const model = tiny(type, 64, gguf);
    const prompt = Array.from({ length: 48 }, (_, i) => i);
    const first = model.newCache();
    feed(model, first, prompt);
    first.release();
    const forgotten = model.newCache();
    forgotten.adopt(prompt);
    expect(forgotten.length).toBe(0);
    feed(model, forgotten, prompt);
    forgotten.settle();
    for (const [text, shared] of [
      [prompt, 32],
      [[...prompt, 1], 48],
      [[...prompt.slice(0, 40), 1, 2, 3, 4, 5, 6, 7, 8, 9], 32],
      [[5, ...prompt.slice(1)], 0],
    ] as const) {
      const cache = model.newCache();
      cache.adopt(text);
      expect(cache.length).toBe(shared);
      const logits = feed(model, cache, text.slice(shared)).at(-1);
      expect(logits).toEqual(reference(other, text).at(-1));
    }
  });

  it('computed twice is kept once', () => {
    const model = tiny(type, 64, gguf);
    const prompt = Array.from({ length: 32 }, (_, i) => i);
    const caches = [model.newCache(), model.newCache()];
    for (const cache of caches) feed(model, cache, prompt);
    for (const cache of caches) cache.settle();
    expect(model.kvPool.stats.used).toBe(2);
    expect(feed(model, caches[1], [9])[0]).toEqual(reference(other, [...prompt, 9]).at(-1));
  });

  it('goes back to any token before it is settled, and to one that it can go on from after', () => {
    const model = tiny(type, 64, gguf);
    const prompt = Array.from({ length: 45 }, (_, i) => i);
    const isReduced = type === 'int8' || gguf !== TINY;
    for (const length of [0, 1, 15, 16, 17, 31, 33, 44]) {
      const cache = model.newCache();
      feed(model, cache, prompt);
      cache.truncate(length);
      expect(cache.length).toBe(length);
      expect(feed(model, cache, [9])[0]).toEqual(reference(other, [...prompt.slice(0, length), 9]).at(-1));
      cache.release();
      feed(model, cache, prompt);
      cache.settle();
      cache.truncate(length);
      // The last page is open: it has all of its tokens.
      const kept = isReduced && length < 32 ? length - (length % 16) : length;
      expect(cache.length).toBe(kept);
      expect(feed(model, cache, [9])[0]).toEqual(reference(other, [...prompt.slice(0, kept), 9]).at(-1));
      cache.release();
    }
  });

  it('that is forked goes on in each branch from the tokens of both', () => {
    const model = tiny(type, 64, gguf);
    for (const length of [5, 16, 17, 31]) {
      const prompt = Array.from({ length }, (_, i) => i);
      const first = model.newCache();
      feed(model, first, prompt);
      const branches = [first, first.fork(), first.fork()];
      for (let round = 0; round < 3; round++)
        for (const [i, branch] of branches.entries()) {
          const after = [...prompt, ...Array.from({ length: round + 1 }, () => 40 + i)];
          expect(feed(model, branch, [40 + i])[0]).toEqual(reference(other, after).at(-1));
        }
      for (const branch of branches) branch.release();
    }
    expect(model.kvPool.stats.used).toBe(0);
  });
});

/** Leaves `count` pages of `first`, `first` + 1, ... in the pool, held by nobody. */
function leave(model: Model, first: number, count: number): number[] {
  const tokens = Array.from({ length: 16 * count }, (_, i) => (first + i) % 50);
  const cache = model.newCache();
  feed(model, cache, tokens);
  cache.settle();
  cache.release();
  return tokens;
}

function adopted(model: Model, tokens: readonly number[]): number {
  const cache = model.newCache();
  cache.adopt([...tokens, 0]);
  const { length } = cache;
  cache.release();
  return length;
}

describe('a pool whose room is needed', () => {
  it('throws out the least recently used pages first, the end of a prefix before its beginning', () => {
    const model = tiny('f16', 6);
    const [a, b] = [leave(model, 0, 2), leave(model, 1, 2)];
    expect(adopted(model, a)).toBe(32);
    leave(model, 2, 3);
    expect(model.kvPool.stats).toMatchObject({ cached: 6, evictions: 1 });
    expect([adopted(model, a), adopted(model, b)]).toEqual([32, 16]);
  });

  it('keeps what is pinned', () => {
    const model = tiny('f16', 6);
    const system = leave(model, 0, 2);
    const pin = model.kvPool.pin([...system, 1, 2]);
    expect(pin.tokens).toBe(32);
    expect(model.kvPool.stats).toMatchObject({ pinned: 2, used: 2, cached: 0 });
    for (let first = 1; first < 9; first++) leave(model, first, 4);
    expect(adopted(model, system)).toBe(32);
    pin.release();
    pin.release();
    expect(model.kvPool.stats).toMatchObject({ pinned: 0, used: 0 });
    leave(model, 9, 4);
    leave(model, 10, 4);
    expect(adopted(model, system)).toBe(0);
  });

  it.each([
    ['f16', 4],
    ['int8', 6],
  ] as const)('of %s says so where all is held, and every other cache is as it was', (type, pages) => {
    const model = tiny(type, pages);
    const held = model.newCache();
    feed(
      model,
      held,
      Array.from({ length: 30 }, (_, i) => i),
    );
    const { used } = model.kvPool.stats;
    const other = model.newCache();
    const tokens = Array.from({ length: 60 }, (_, i) => i % 50);
    expect(() => feed(model, other, tokens)).toThrow(`LLM_KV_FULL] All ${pages} pages`);
    expect(other.length).toBe(0);
    expect(model.kvPool.stats.used).toBe(used);
    other.release();
    held.release();
    expect(feed(model, other, [1])[0]).toEqual(reference(tiny(type), [1])[0]);
  });

  it('reserves as much as there is', () => {
    const model = tiny('f16', 3);
    const [one, other] = [model.newCache(), model.newCache()];
    expect(one.reserve(20)).toBe(20);
    expect(other.reserve(100)).toBe(16);
    expect(other.reserve(5)).toBe(5);
    one.settle();
    expect(other.reserve(100)).toBe(48);
    expect(() => one.reserve(1)).toThrow(/LLM_KV_FULL/);
  });

  it('holds a sequence of as many tokens as it says', () => {
    for (const type of ['f16', 'int8'] as const) {
      const model = tiny(type, 5);
      const pool: KvPool = model.kvPool;
      const cache = model.newCache();
      for (let position = 0; position < pool.maxTokens; position++) {
        feed(model, cache, [position % 50]);
        cache.settle();
      }
      expect(() => feed(model, cache, [1])).toThrow(/LLM_KV_FULL/);
      cache.release();
    }
  });

  it('of less than a page is refused', () => {
    expect(() => tiny('f16', 0.9).kvPool).toThrow(/LLM_KV_MEMORY/);
    expect(() => tiny('f16', 0.9, CONVOLVING).kvPool).toThrow(/LLM_KV_MEMORY/);
    expect(() => loadModel(TINY, { kvBytes: 2 ** 33 }).kvPool).toThrow(/LLM_KV_MEMORY/);
  });
});

describe('what is spilled', () => {
  function spilled(type: KvType, name: string, maxBytes = 1 << 20, gguf = TINY) {
    const path = join(folder, name);
    const spill = new SpillFolder(path, maxBytes);
    const model = tiny(type, 64, gguf);
    const cache = model.newCache();
    const tokens = Array.from({ length: 37 }, (_, i) => i);
    feed(model, cache, tokens);
    cache.spill(spill);
    model.kvPool.clear();
    return { path, spill, model, cache, tokens };
  }

  it.each([
    ['f16', 'attention', TINY],
    ['int8', 'attention', TINY],
    ['f16', 'convolutions', CONVOLVING],
    ['int8', 'convolutions', CONVOLVING],
  ] as const)('comes back from disk to the bit: %s, with %s', (type, name, gguf) => {
    const { path, spill, model, cache, tokens } = spilled(type, `back-${type}-${name}`, 1 << 20, gguf);
    expect(model.kvPool.memory.freeFrames).toBe(model.kvPool.memory.frames);
    expect(spill.bytes).toBeGreaterThan(0);
    // Others use the frames meanwhile.
    leave(model, 3, 6);
    cache.restore();
    expect(cache.length).toBe(37);
    expect([spill.bytes, readdirSync(path)]).toEqual([0, []]);
    expect(feed(model, cache, [7])[0]).toEqual(reference(tiny(type, 64, gguf), [...tokens, 7]).at(-1));
    expect(model.kvPool.stats).toMatchObject({ restored: 1, spillFailures: 0 });
  });

  it.each([
    ['changed', (bytes: Buffer) => bytes.fill(1, 100, 101)],
    ['cut off', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
  ])('is not taken back where its file was %s', (name, damage) => {
    const { path, spill, model, cache } = spilled('f16', `damaged-${name}`);
    const file = join(path, readdirSync(path)[0]);
    writeFileSync(file, damage(readFileSync(file)));
    cache.restore();
    expect([cache.length, model.kvPool.stats.used]).toEqual([0, 0]);
    expect([spill.bytes, readdirSync(path)]).toEqual([0, []]);
    expect(model.kvPool.stats).toMatchObject({ restored: 0, spillFailures: 1 });
  });

  it('stays on disk while there is no room', () => {
    const { model, cache } = spilled('f16', 'no-room');
    const others = model.newCache();
    others.reserve(128);
    const pin = Array.from({ length: 8 }, () => model.newCache());
    for (const other of pin) other.reserve(112);
    expect(() => cache.restore()).toThrow(/LLM_KV_FULL/);
    for (const other of [...pin, others]) other.release();
    cache.restore();
    expect(cache.length).toBe(37);
  });

  it('is computed again where the folder has no room for it', () => {
    const { path, model, cache } = spilled('f16', 'full', 1000);
    expect(readdirSync(path)).toEqual([]);
    cache.restore();
    expect(cache.length).toBe(0);
    expect(model.kvPool.stats.spillFailures).toBe(1);
  });

  it('needs a folder that can be made', () => {
    const path = join(folder, 'a-file');
    writeFileSync(path, '');
    expect(() => new SpillFolder(join(path, 'inside'), 1)).toThrow(/LLM_KV_SPILL_FOLDER/);
  });

  it('is deleted with its sequence, and by the next process that uses the folder', () => {
    const { path, spill, cache } = spilled('f16', 'deleted');
    cache.release();
    expect([spill.bytes, readdirSync(path)]).toEqual([0, []]);
    spilled('f16', 'left');
    new SpillFolder(join(folder, 'left'), 1);
    expect(readdirSync(join(folder, 'left'))).toEqual([]);
  });
});
