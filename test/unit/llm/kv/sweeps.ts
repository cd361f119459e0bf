import { join } from 'node:path';
import { expect } from 'vitest';
import { fileSource, GgmlType, type GgufFile, openGguf } from '../../../../gguf/index.js';
import { KvLayout, type KvType } from '../../../../llm/kv/layout.js';
import { kvShapeOf, readConfig } from '../../../../llm/model/config.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import type { Model } from '../../../../llm/model/model.js';
import { convolvingGguf } from '../convolving.js';
import { changed, syntheticGguf } from '../models.js';
import { Monkey } from './monkey.js';

export const TINY = syntheticGguf(() => GgmlType.F32, {
  embedding: 32,
  layers: 2,
  feedForward: 32,
  heads: 4,
  kvHeads: 2,
  vocabulary: 260,
  contextLength: 128,
});

/** Two layers that convolve, first and last, and two that attend. */
export const CONVOLVING = convolvingGguf({ convolves: [true, false, false, true] });
/** All that attend have a window. */
const WINDOWED = changed(CONVOLVING, { 'lfm2.attention.sliding_window': 20 });

export const CACHES = [
  ['f16', 'attention', TINY],
  ['int8', 'attention', TINY],
  ['f16', 'attention and convolutions', CONVOLVING],
  ['int8', 'attention and convolutions', CONVOLVING],
  ['f16', 'windows and convolutions', WINDOWED],
  ['int8', 'windows and convolutions', WINDOWED],
] as const;

export const WINDOWS = [
  ['gemma2', 5],
  ['gemma2', 16],
  ['gemma2', 40],
  ['gemma3', 1],
  ['gemma3', 70],
] as const;

/** How much is tried, and how many pages have to be found again in all of it. */
interface Sweep {
  readonly seeds: number;
  readonly leastHits: number;
}

export function tiny(kvType: KvType, pages = 64, gguf: GgufFile = TINY): Model {
  const { frameBytes, pageFrames, rowFrames } = new KvLayout(kvShapeOf(readConfig(gguf)), kvType);
  const kvBytes = pages * (pageFrames + rowFrames) * frameBytes;
  return loadModel(gguf, { kvType, kvBytes, maxColumns: 24 });
}

/** A model of a family whose layers see `window` tokens, for sequences of up to 256. */
export function windowed(
  family: string,
  window: number,
  kvType: KvType,
  kvBytes = 1 << 23,
  pattern: Record<string, number> = {},
): Model {
  const gguf = openGguf(fileSource(join('test', 'fixtures', 'families', `${family}-f16.gguf`)));
  const metadata = { [`${family}.attention.sliding_window`]: window, ...pattern };
  return loadModel(changed(gguf, metadata), { kvType, kvBytes, maxColumns: 24 });
}

/** Frames that somebody holds. */
export function heldFrames({ kvPool }: Model): number {
  kvPool.clear();
  return kvPool.memory.frames - kvPool.memory.freeFrames;
}

/** Fails unless a cache gives the logits of tokens fed one by one, whatever is done with it at random. */
export function cachesAreRight(type: KvType, gguf: GgufFile, folder: string, sweep: Sweep): void {
  const other = tiny(type, 64, gguf);
  const model = tiny(type, 200, gguf);
  for (let seed = 0; seed < sweep.seeds; seed++) {
    const monkey = new Monkey(model, other, seed, folder);
    monkey.run(40);
    expect(monkey.compared).toBeGreaterThan(50);
    expect(model.kvPool.stats.used).toBe(0);
  }
  expect(model.kvPool.stats.hits).toBeGreaterThan(sweep.leastHits);
  model.kvPool.clear();
  expect(model.kvPool.stats).toMatchObject({ used: 0, cached: 0 });
  expect(model.kvPool.memory.freeFrames).toBe(model.kvPool.memory.frames);
}

/** The same where layers have windows. */
export function windowsAreRight(
  type: KvType,
  family: string,
  window: number,
  folder: string,
  sweep: Sweep,
): void {
  // The other one never settles, so that its windows pass nothing on.
  const other = windowed(family, window, type);
  // The pool is scarce: what nobody holds is thrown out now and then.
  const model = windowed(family, window, type, family === 'gemma2' ? 400_000 : 500_000);
  for (let seed = 0; seed < sweep.seeds; seed++) {
    const monkey = new Monkey(model, other, seed, join(folder, `${family}-${window}-${type}`), 40);
    monkey.run(30);
    expect(monkey.compared).toBeGreaterThan(20);
    expect(model.kvPool.stats.used).toBe(0);
  }
  expect(model.kvPool.stats.hits).toBeGreaterThan(sweep.leastHits);
  expect(heldFrames(model)).toBe(0);
}
