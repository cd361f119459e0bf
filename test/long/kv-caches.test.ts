import { afterAll, describe, it } from 'vitest';
import { temporaryDirectory } from '../system/support/agent.js';
import { CACHES, cachesAreRight, WINDOWS, windowsAreRight } from '../unit/llm/kv/sweeps.js';

const directory = temporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

it.each(CACHES)('a cache in pages of %s, with %s, is right whatever is done with it', (type, name, gguf) => {
  const seeds = name === 'attention' ? 12 : 6;
  cachesAreRight(type, gguf, directory.path, { seeds, leastHits: 10 });
});

describe.each(['f16', 'int8'] as const)('a cache of %s with windows', (type) => {
  it.each(WINDOWS)('of %s, %s tokens, is right whatever is done with it', (family, window) => {
    windowsAreRight(type, family, window, directory.path, { seeds: 6, leastHits: 0 });
  });
});
