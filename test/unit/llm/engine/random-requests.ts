import { expect } from 'vitest';
import { Engine } from '../../../../llm/engine/engine.js';
import type { GenerateRequest } from '../../../../llm/engine/request.js';
import { SpillFolder } from '../../../../llm/kv/spill-folder.js';
import { Random } from '../../../../maths/index.js';
import { tinyOfPages as tiny } from '../models.js';

function below(random: Random, n: number): number {
  return Math.floor(random.nextDouble() * n);
}

/** One of four system prompts of 20 tokens, and a question. */
export function randomRequest(random: Random, longest: number): GenerateRequest {
  const system = below(random, 4);
  const question = Array.from({ length: 1 + below(random, longest) }, () => 3 + below(random, 250));
  return {
    prompt: [...Array.from({ length: 20 }, (_, i) => 3 + system + 5 * i), ...question],
    maxTokens: 1 + below(random, longest),
    ignoreEos: true,
    sampling: { seed: below(random, 1000) },
    promptLookup: below(random, 2) === 0,
  };
}

/**
 * Checks that an engine has all its pages back after so many random requests, some of which are cancelled.
 * @param folder for pages that are spilled
 */
export function losesNoPage(
  type: 'f16' | 'int8',
  requests: number,
  folder: string,
  mixer?: 'attention' | 'convolution',
): void {
  const model = tiny(type, 24, mixer);
  const spill = new SpillFolder(folder, 20_000);
  const engine = new Engine(model, { spill });
  const random = new Random(9);
  let submitted = 0;
  let ended = 0;
  const cancels: (() => void)[] = [];
  const end = () => {
    ended++;
  };
  while (submitted < requests || engine.count > 0) {
    while (submitted < requests && engine.count < 12) {
      submitted++;
      const isBeams = submitted % 13 === 0;
      // Long ones alone have room, and not as beams.
      const request = randomRequest(random, submitted % 20 === 0 && !isBeams ? 50 : 3);
      const beams = { promptLookup: false, beams: { width: 2 + below(random, 3) } };
      const generation = engine.submit(
        { ...request, ...(isBeams ? beams : {}) },
        {
          onToken: () => undefined,
          onDone: end,
          onError: (error) => {
            throw error;
          },
        },
      );
      if (below(random, 3) === 0) cancels.push(() => generation.cancel());
    }
    engine.step();
    if (cancels.length > 0 && below(random, 2) === 0) cancels.splice(below(random, cancels.length), 1)[0]();
  }
  expect(ended).toBe(requests);
  const pool = model.kvPool;
  const { stats } = pool;
  expect(stats).toMatchObject({ used: 0, pinned: 0 });
  expect(stats.cached).toBeGreaterThan(0);
  expect(stats.hits).toBeGreaterThan(requests / 20);
  expect(stats.evictions).toBeGreaterThan(requests / 100);
  expect(spill.bytes).toBe(0);
  pool.clear();
  expect(pool.stats.cached).toBe(0);
  expect(pool.memory.freeFrames).toBe(pool.memory.frames);
}
