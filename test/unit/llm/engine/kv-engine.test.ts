import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { GenerateRequest, TokenOutput } from '../../../../llm/engine/request.js';
import type { KvType } from '../../../../llm/kv/layout.js';
import { SpillFolder } from '../../../../llm/kv/spill-folder.js';
import { newCost } from '../../../../llm/model/cost.js';
import { ModelDrafter } from '../../../../llm/speculation/model-drafter.js';
import { Random } from '../../../../maths/index.js';
import { Bench, tinyOfPages as tiny } from '../models.js';
import { losesNoPage, randomRequest } from './random-requests.js';

type Mixer = 'attention' | 'convolution';

const folder = mkdtempSync(join(tmpdir(), 'kv-engine-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What each request gives alone, where pages are plenty: once for both ways to get short pages back. */
const alone = new Map<string, TokenOutput[][]>();

function tokensAlone(type: KvType, mixer: Mixer, requests: readonly GenerateRequest[]): TokenOutput[][] {
  const key = JSON.stringify([type, mixer, requests]);
  const bench = new Bench(tiny(type, 400, mixer));
  const tokens =
    alone.get(key) ??
    requests.map((request) => {
      const { received } = bench.submit(request);
      bench.run();
      return received.tokens;
    });
  alone.set(key, tokens);
  return tokens;
}

describe.each([
  ['f16', 'computed again', 12, 'attention'],
  ['f16', 'spilled', 12, 'attention'],
  ['int8', 'computed again', 20, 'attention'],
  ['int8', 'spilled', 20, 'attention'],
  ['f16', 'computed again', 12, 'convolution'],
  ['f16', 'spilled', 12, 'convolution'],
  ['int8', 'computed again', 20, 'convolution'],
  ['int8', 'spilled', 20, 'convolution'],
] as const)('where pages of %s run short and are %s', (type, how, pages, mixer) => {
  it(`every sequence gets the tokens that it gets alone, of layers with ${mixer}`, () => {
    const random = new Random(5);
    const requests = Array.from({ length: 12 }, () => ({ ...randomRequest(random, 8), maxTokens: 90 }));
    const model = tiny(type, pages, mixer);
    const path = join(folder, `${type}-${how}-${mixer}`);
    const spill = how === 'spilled' ? new SpillFolder(path, 1 << 20) : undefined;
    const bench = new Bench(model, { spill });
    const received = requests.map((request) => bench.submit(request).received);
    bench.run();
    for (const [i, tokens] of tokensAlone(type, mixer, requests).entries()) {
      expect(received[i].error).toBeUndefined();
      expect(received[i].tokens).toEqual(tokens);
    }
    const { used, preemptions, restored, spillFailures } = model.kvPool.stats;
    expect(preemptions).toBeGreaterThan(0);
    expect([used, spillFailures]).toEqual([0, 0]);
    if (spill !== undefined) {
      expect(restored).toBeGreaterThan(0);
      expect(readdirSync(path)).toEqual([]);
    }
  });
});

describe('a request that would need more than the whole pool', () => {
  const bench = new Bench(tiny('f16', 2));

  it('is refused', () => {
    expect(() => bench.submit({ prompt: [1], maxTokens: 33 })).toThrow(/LLM_KV_TOO_LONG.*33 tokens.*32/);
    expect(() => bench.submit({ prompt: new Array<number>(33).fill(5) })).toThrow(/LLM_KV_TOO_LONG/);
  });

  it('but says no number of tokens ends where the pool is full', () => {
    const { received } = bench.submit({ prompt: [1, 2], ignoreEos: true });
    bench.run();
    expect(received.result).toMatchObject({ reason: 'context-full', tokens: 31 });
  });
});

it.each([
  ['f16', 2, 32],
  ['int8', 4, 16],
] as const)('a draft model whose pages of %s run short drafts no more', (type, pages, least) => {
  const model = tiny(type, pages);
  const drafter = new ModelDrafter(model, newCost(), { faults: 0, recovered: 0 });
  for (let token = 0; token < 10; token++) drafter.push(token);
  let drafted = 10;
  for (let draft = drafter.propose(2); draft.length > 0; draft = drafter.propose(2)) {
    for (const token of draft) drafter.push(token);
    drafted += draft.length;
  }
  expect(drafted).toBeGreaterThanOrEqual(least);
  expect(drafter.propose(2)).toEqual([]);
  expect(drafter.worth(8, (n) => n)).toBe(0);
  expect(model.kvPool.stats.used).toBe(0);
});

// test/long has more of them.
it.each([
  ['f16', 500, 'attention'],
  ['int8', 500, 'attention'],
  ['f16', 500, 'convolution'],
  ['int8', 500, 'convolution'],
] as const)('of %s no page is lost after %s random requests with cancels: %s', (type, requests, mixer) => {
  losesNoPage(type, requests, join(folder, `load-${type}-${mixer}`), mixer);
});

it.each([
  ['f16', 'attention'],
  ['int8', 'attention'],
  ['f16', 'convolution'],
  ['int8', 'convolution'],
] as const)('pages of %s that the last step completed are there for the next: %s', (type, mixer) => {
  const bench = new Bench(tiny(type, 24, mixer));
  const request = { prompt: Array.from({ length: 70 }, (_, i) => 3 + i), maxTokens: 1, ignoreEos: true };
  const run = () => {
    const { received } = bench.submit(request);
    bench.run();
    return received;
  };
  const first = run();
  expect(bench.model.kvPool.stats.cached).toBe(4);
  expect(run().tokens).toEqual(first.tokens);
  expect(bench.model.kvPool.stats.hits).toBe(4);
});
