import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { KvLayout } from '../../../../llm/kv/layout.js';
import { KvPool } from '../../../../llm/kv/pool.js';
import { SpillFolder } from '../../../../llm/kv/spill-folder.js';
import { feed, Monkey, reference } from './monkey.js';
import { heldFrames, WINDOWS, windowed, windowsAreRight } from './sweeps.js';

const folder = mkdtempSync(join(tmpdir(), 'kv-window-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

const text = (length: number, first = 3) => Array.from({ length }, (_, i) => first + ((i * 7) % 101));

/** A page's bytes in one layer of these families: keys and values of 16 tokens as halves, or INT8 with two scales a head. */
const LAYER_BYTES = { gemma2: { f16: 3072, int8: 1552 }, gemma3: { f16: 1536, int8: 776 } } as const;

describe.each(['f16', 'int8'] as const)('a cache of %s with windows', (type) => {
  // test/long has more of them.
  it.each(WINDOWS)(
    'of %s, %s tokens, gives the logits of tokens fed one by one, whatever is done with it',
    (family, window) => windowsAreRight(type, family, window, folder, { seeds: 1, leastHits: 0 }),
  );

  it.each([
    ['gemma2', 3, 1, 30],
    ['gemma3', 7, 1, 50],
  ] as const)('keeps of %s what windows need and no more', (family, layers, full, window) => {
    const model = windowed(family, window, type);
    const { layout } = model.kvPool.memory;
    const cache = model.newCache();
    for (const token of text(240)) {
      feed(model, cache, [token]);
      cache.settle();
    }
    // The window of position 240 begins at 241 - window; pages of it, of 15 complete ones.
    const inWindow = 15 - Math.floor((241 - window) / 16);
    const expected = LAYER_BYTES[family][type] * (full * 15 + (layers - full) * inWindow);
    const frames = heldFrames(model);
    expect(frames * layout.frameBytes).toBeGreaterThanOrEqual(expected);
    // Frames begin at cache lines.
    expect(frames * layout.frameBytes).toBeLessThan(expected * 1.1);
    expect(frames).toBeLessThanOrEqual(layout.framesOf(240));
    expect(frames).toBeLessThan(15 * layout.pageFrames * 0.6);
    cache.release();
  });

  it('holds a sequence as long as it says, and no longer', () => {
    const model = windowed('gemma3', 20, type, type === 'f16' ? 80_000 : 52_000);
    const { kvPool } = model;
    expect(kvPool.maxTokens).toBeGreaterThan(100);
    expect(kvPool.maxTokens).toBeLessThan(256);
    const cache = model.newCache();
    const all = text(256);
    let last: Float32Array | undefined;
    for (let position = 0; position < kvPool.maxTokens; position++) {
      [last] = feed(model, cache, [all[position]]);
      cache.settle();
    }
    const expected = reference(windowed('gemma3', 20, type), all.slice(0, kvPool.maxTokens)).at(-1);
    expect(last).toEqual(expected);
    cache.release();
  });

  it('holds any sequence where all layers have a window that fits', () => {
    const pattern = { 'gemma2.attention.sliding_window_pattern': 0 };
    const { layout } = windowed('gemma2', 20, type, 1 << 20, pattern).kvPool.memory;
    expect(layout.groups).toEqual({ full: 0, windowed: 1 });
    const frames = layout.framesOf(10_000);
    expect(layout.tokensIn(frames)).toBe(Number.POSITIVE_INFINITY);
    const model = windowed('gemma2', 20, type, frames * layout.frameBytes, pattern);
    const plenty = windowed('gemma2', 20, type, 1 << 22, pattern);
    expect(model.kvPool.maxTokens).toBe(256);
    const cache = model.newCache();
    const all = text(256);
    let last: Float32Array | undefined;
    for (let at = 0; at < 256; at += 16) {
      last = feed(model, cache, all.slice(at, at + 16)).at(-1);
      cache.settle();
    }
    expect(last).toEqual(reference(plenty, all).at(-1));
    cache.truncate(250);
    expect(cache.length).toBe(type === 'f16' ? 250 : 240);
    cache.release();
    expect(heldFrames(model)).toBe(0);
    for (let seed = 0; seed < 3; seed++)
      new Monkey(plenty, plenty, seed, join(folder, `all-${type}`)).run(25);
    expect(heldFrames(plenty)).toBe(0);
  }, 60_000);

  it('is adopted only as far as the window of what comes next is there', () => {
    const model = windowed('gemma2', 20, type, 1 << 20);
    const prompt = text(128);
    const cache = model.newCache();
    for (let at = 0; at < 128; at += 16) {
      feed(model, cache, prompt.slice(at, at + 16));
      cache.settle();
    }
    const adopted = (length: number) => {
      const other = model.newCache();
      const tokens = [...prompt.slice(0, length), 200, 201];
      const { found } = model.kvPool.prospect(tokens);
      other.adopt(tokens);
      expect(other.length).toBe(found);
      const logits = feed(model, other, tokens.slice(other.length)).at(-1);
      expect(logits).toEqual(reference(windowed('gemma2', 20, type), tokens).at(-1));
      const shared = found;
      other.release();
      return shared;
    };
    // Passed windows stay as long as nobody needs their room.
    expect(adopted(64)).toBe(64);
    model.kvPool.clear();
    // Those are gone, and what they belong to is held by the first one still.
    expect(adopted(64)).toBe(0);
    expect(adopted(128)).toBe(128);
    model.kvPool.clear();
    // What the second one computed again of the beginning is what the first one has.
    const again = model.newCache();
    feed(model, again, prompt.slice(0, 64));
    again.settle();
    expect(adopted(64)).toBe(64);
    again.release();
    cache.release();
    expect(heldFrames(model)).toBe(0);
  });

  it('goes back over the edge of a window as far as everything is there', () => {
    const tokens = text(100);
    for (const cleared of [false, true]) {
      const model = windowed('gemma2', 20, type);
      const cache = model.newCache();
      for (let at = 0; at < 100; at += 10) {
        feed(model, cache, tokens.slice(at, at + 10));
        cache.settle();
      }
      // Within the window nothing is gone.
      cache.truncate(97);
      expect(cache.length).toBe(97);
      const [logits] = feed(model, cache, [250]);
      expect(logits).toEqual(reference(windowed('gemma2', 20, type), [...tokens.slice(0, 97), 250]).at(-1));
      if (cleared) model.kvPool.clear();
      // Page 3 and those before it were let go.
      cache.truncate(50);
      const whole = type === 'f16' ? 50 : 48;
      expect(cache.length).toBe(cleared ? 0 : whole);
      const rest = [...tokens.slice(0, cache.length), ...text(30, 150)];
      const after = feed(model, cache, rest.slice(cache.length)).at(-1);
      expect(after).toEqual(reference(windowed('gemma2', 20, type), rest).at(-1));
      cache.release();
      expect(heldFrames(model)).toBe(0);
    }
  });

  it('comes back from disk to the bit, its window and all pages of other layers', () => {
    const model = windowed('gemma3', 40, type);
    const spill = new SpillFolder(join(folder, `spill-${type}`), 1 << 24);
    const tokens = text(150);
    for (const adopts of ['nothing', 'a beginning', 'everything']) {
      const cache = model.newCache();
      for (let at = 0; at < 150; at += 25) {
        feed(model, cache, tokens.slice(at, at + 25));
        cache.settle();
      }
      cache.spill(spill);
      if (adopts !== 'everything') model.kvPool.clear();
      if (adopts === 'a beginning') {
        const other = model.newCache();
        feed(model, other, tokens.slice(0, 70));
        other.settle();
        other.release();
      }
      cache.restore();
      expect(cache.length).toBe(150);
      expect(feed(model, cache, [9])[0]).toEqual(
        reference(windowed('gemma3', 40, type), [...tokens, 9]).at(-1),
      );
      cache.release();
      expect(heldFrames(model)).toBe(0);
    }
    expect(model.kvPool.stats).toMatchObject({ restored: 3, spillFailures: 0 });
  });

  it('that is pinned keeps the window of what comes after it, and of its own last tokens', () => {
    const model = windowed('gemma2', 20, type, 1 << 20);
    const prompt = text(96);
    const cache = model.newCache();
    feed(model, cache, prompt);
    cache.settle();
    const pin = model.kvPool.pin(prompt);
    cache.release();
    model.kvPool.clear();
    const { layout } = model.kvPool.memory;
    // Of six pages the windows from position 80 on: pages 3, 4 and 5.
    const pinned = 6 * layout.partFrames('full') + 3 * layout.partFrames('windowed');
    expect(heldFrames(model)).toBe(pinned);
    expect(model.kvPool.pinnedOf(prompt)).toBe(pinned);
    for (const [tokens, found] of [
      [[...prompt, 1], 96],
      [prompt, 80],
      [[...prompt.slice(0, 70), 1], 0],
    ] as const) {
      const other = model.newCache();
      other.adopt(tokens);
      expect(other.length).toBe(found);
      other.release();
    }
    pin.release();
    expect(heldFrames(model)).toBe(0);
    expect(model.kvPool.stats).toMatchObject({ pinned: 0, used: 0 });
  });
});

describe('keys and values of a model like Gemma 3', () => {
  // 26 layers, every sixth of which sees everything, and a window of 512.
  const layerWindows = Array.from({ length: 26 }, (_, i) => (i % 6 === 5 ? 0 : 512));
  const shape = { layers: 26, heads: 4, kvHeads: 1, headDim: 256, layerWindows };
  const context = 32_768;

  it.each(['f16', 'int8'] as const)('take at a long context what is seen of them, as %s', (type) => {
    const layout = new KvLayout(shape, type);
    const plain = new KvLayout({ ...shape, layerWindows: [] }, type);
    const bytes = layout.framesOf(context) * layout.frameBytes;
    // A token's keys and values in a layer; 4 layers of all tokens, 22 of the window and of the pages that a step goes on in.
    const token = type === 'f16' ? 2 * 2 * 256 : 2 * 256 + 8 / 16;
    const formula = token * (4 * context + 22 * (512 + 16 + 64));
    expect(bytes / formula).toBeGreaterThan(0.98);
    expect(bytes / formula).toBeLessThan(1.02);
    expect(bytes).toBeLessThan(0.18 * plain.framesOf(context) * plain.frameBytes);
    expect(layout.tokensIn(layout.framesOf(context))).toBeGreaterThanOrEqual(context);
    expect(new KvPool(shape, { type, bytes, contextLength: context }).maxTokens).toBe(context);
  });

  it.each(['f16', 'int8'] as const)('are counted alike both ways, as %s', (type) => {
    for (const window of [1, 16, 17, 100]) {
      const windows = layerWindows.map((one) => Math.min(one, window));
      const layout = new KvLayout({ ...shape, layerWindows: windows }, type);
      for (let tokens = 1; tokens < 600; tokens += 7) {
        const frames = layout.framesOf(tokens);
        expect(layout.tokensIn(frames)).toBeGreaterThanOrEqual(tokens);
        expect(layout.tokensIn(frames - 1)).toBeLessThan(tokens + (type === 'int8' ? 16 : 0));
      }
    }
  });

  it('share frames as evenly as layers allow', () => {
    const groupsOf = (layers: number, pattern: number) =>
      new KvLayout(
        {
          ...shape,
          layers,
          layerWindows: Array.from({ length: layers }, (_, i) => ((i + 1) % pattern === 0 ? 0 : 512)),
        },
        'f16',
      ).groups;
    expect(groupsOf(26, 2)).toEqual({ full: 1, windowed: 1 });
    expect(groupsOf(18, 6)).toEqual({ full: 1, windowed: 5 });
    expect(groupsOf(26, 6)).toEqual({ full: 2, windowed: 11 });
    expect(groupsOf(34, 6)).toEqual({ full: 1, windowed: 6 });
  });
});
