import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { GgmlType } from '../../../../gguf/index.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { logitsOf, syntheticGguf, tinyStories } from '../models.js';

const PROMPT = [1, 80, 147, 201, 282, 57];

describe('a column’s results do not depend on what else is in the step', () => {
  it('a prompt fed in one step or token by token gives the same bits', () => {
    const model = tinyStories();
    expect(logitsOf(model, PROMPT, false)).toEqual(logitsOf(model, PROMPT, true));
  });

  it('two sequences in one step give the bits that each gives alone', () => {
    const model = tinyStories();
    const other = [1, 300, 17, 5];
    const caches = [model.newCache(), model.newCache(100)];
    const columns = [PROMPT, other].map((tokens, i) =>
      tokens.map((token, position) => ({
        cache: caches[i],
        token,
        position,
        logits: new Float32Array(model.config.vocabSize),
      })),
    );
    const mixed = [0, 1, 2, 3].flatMap((i) => [columns[0][i], columns[1][i]]).concat(columns[0].slice(4));
    model.forward(mixed);
    expect(columns[0].map(({ logits }) => logits)).toEqual(logitsOf(model, PROMPT));
    expect(columns[1].map(({ logits }) => logits)).toEqual(logitsOf(model, other));
  });

  it('more columns than fit one pass give the same bits', () => {
    const gguf = syntheticGguf(() => GgmlType.Q3_K);
    const tokens = Array.from({ length: 40 }, (_, i) => (i * 37) % 1000);
    expect(logitsOf(loadModel(gguf, { maxColumns: 7 }), tokens)).toEqual(logitsOf(loadModel(gguf), tokens));
  });
});

it('the bits of a short run are the ones that they always were', () => {
  // Any change of arithmetic shows here, on every machine: change the digest only with the reason in the commit.
  const hash = createHash('sha256');
  for (const logits of logitsOf(tinyStories(), PROMPT)) hash.update(new Uint8Array(logits.buffer));
  expect(hash.digest('hex')).toBe('51263fd886421b887b51b047fd9df2102adbbba83a3e68ca0f4a5b252ae836a0');
});

describe('wrong columns are refused and change nothing', () => {
  it.each([-1, 2304, 0.5, Number.NaN])('the token %s', (token) => {
    const model = tinyStories();
    const cache = model.newCache();
    expect(() => model.forward([{ cache, token, position: 0 }])).toThrow(/LLM_TOKEN_RANGE/);
    expect(cache.length).toBe(0);
  });

  it('a position that leaves a gap', () => {
    const model = tinyStories();
    const cache = model.newCache();
    const columns = [
      { cache, token: 1, position: 0 },
      { cache, token: 1, position: 2 },
    ];
    expect(() => model.forward(columns)).toThrow(/LLM_POSITION_RANGE.*Position 2/);
    expect(cache.length).toBe(0);
  });

  it('a position beyond the cache', () => {
    const model = tinyStories();
    const cache = model.newCache(2);
    const columns = [0, 1, 2].map((position) => ({ cache, token: 5, position }));
    expect(() => model.forward(columns)).toThrow(/LLM_POSITION_RANGE.*at most 2/);
  });

  it('a closed model', () => {
    const model = tinyStories();
    model.close();
    model.close();
    expect(() => model.forward([])).toThrow(/LLM_MODEL_CLOSED/);
  });

  it.each([0, 513])('a cache of %s tokens', (maxTokens) => {
    expect(() => tinyStories().newCache(maxTokens)).toThrow(/LLM_CONTEXT_LENGTH/);
  });
});

it('a cache that forgot its last tokens goes on as if they had never been', () => {
  const model = tinyStories();
  const cache = model.newCache();
  model.forward([...PROMPT, 9, 9].map((token, position) => ({ cache, token, position })));
  cache.truncate(PROMPT.length - 1);
  const logits = new Float32Array(model.config.vocabSize);
  const position = PROMPT.length - 1;
  model.forward([{ cache, token: PROMPT[position], position, logits }]);
  expect(logits).toEqual(logitsOf(model, PROMPT).at(-1));
});

it('the multiply-adds of a step are counted: each weight once a column, the end of the last layer and the output only where logits are wanted', () => {
  const model = tinyStories();
  const cache = model.newCache();
  model.forward([0, 1, 2].map((position) => ({ cache, token: 5, position })));
  const keysValues = 2 * 256 * 128;
  const layer = 2 * 256 * 256 + keysValues + 3 * 256 * 768;
  const before = 3 * (2 * layer + keysValues);
  expect(model.cost().cpuMultiplyAdds).toBe(before);
  logitsOf(model, [1]);
  expect(model.cost().cpuMultiplyAdds).toBe(before + 3 * layer + 256 * 2304);
});
