import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadBoardDescription } from '../../board/description-file.js';
import { Accelerator } from '../../driver/accelerator.js';
import { fileSource, GgmlType, openGguf } from '../../gguf/index.js';
import type { GenerateRequest } from '../../llm/engine/request.js';
import { KvLayout } from '../../llm/kv/layout.js';
import { readConfig } from '../../llm/model/config.js';
import { loadModel } from '../../llm/model/load-model.js';
import { EngineMetrics } from '../../llm/scheduling/index.js';
import { Random } from '../../maths/index.js';
import { type MockBoard, openMockBoard } from '../../mock-device/index.js';
import { Bench, type Received, syntheticGguf } from '../unit/llm/models.js';

/** Pages of the pool: about two sequences of the longest kind, so that others have to give way. */
const PAGES = 5;

const gguf = syntheticGguf(() => GgmlType.Q3_K, { layers: 1, feedForward: 256, vocabulary: 300 });

function load(accelerator: Accelerator, kvType: 'f16' | 'int8', maxColumns: number) {
  // Keys, or values, of 16 tokens: heads of 32 values, 2 of them, as halves; with INT8 both, and 4 scales.
  const frameBytes = kvType === 'f16' ? 2 * 16 * 64 : 2 * 16 * 64 + 64;
  const kvBytes = PAGES * frameBytes * 2;
  return loadModel(gguf, { accelerator, kvType, kvBytes, maxColumns });
}

/** Prompts of every length, some with a common beginning, some that repeat themselves; sampled and greedy. */
const REQUESTS: GenerateRequest[] = Array.from({ length: 16 }, (_, i) => {
  const length = [1, 7, 15, 16, 17, 31, 33, 40][i % 8];
  const own = Array.from({ length }, (_, t) => (i < 8 ? 3 + ((t * 7) % 11) : 3 + ((i * 31 + t * 17) % 290)));
  return {
    prompt: own,
    maxTokens: 3 + (i % 5) * 3,
    ignoreEos: true,
    promptLookup: i % 2 === 0,
    sampling: {
      ...(i % 3 === 0 ? { temperature: 0 } : { temperature: 1, seed: i, repeatPenalty: i % 5 ? 1 : 1.2 }),
      // With few tokens to choose from drafts are right now and then.
      ...(i % 4 === 0 ? { logitBias: [3, 4].map((token) => [token, 50] as const) } : {}),
    },
  };
});

const SERVICES = [
  { class: 'interactive' },
  { class: 'interactive', priority: 9, client: ['a'] },
  { class: 'batch', client: ['a'] },
  { class: 'batch', priority: 1, client: ['b'] },
] as const;

/** And beam searches. */
for (const i of [2, 9])
  REQUESTS.push({
    prompt: REQUESTS[i].prompt,
    maxTokens: 4,
    ignoreEos: true,
    beams: { width: 2 },
  });

interface Given {
  readonly request: number;
  readonly received: Received;
}

/** Requests that join, read slowly, are moved, cancelled and lose their memory at random, on an engine of their own. */
function runSchedule(
  board: MockBoard,
  model: ReturnType<typeof load>,
  random: (below: number) => number,
  metrics: EngineMetrics,
) {
  let clock = 0;
  const bench = new Bench(model, {
    metrics,
    maxSequences: 1 + random(6),
    maxHeld: 2 + random(4),
    agingMs: 50,
    now: () => (clock += 1 + random(20)),
  });
  const given: Given[] = [];
  const live: (Pick<ReturnType<Bench['submit']>['generation'], 'grant' | 'cancel' | 'move'> & {
    credit: number;
  })[] = [];
  let toCome = 2 + random(4);
  let speculated = 0;
  if (random(4) === 0) board.injectFault({ name: 'dma-decode-error', after: random(20) });
  for (; toCome > 0 || bench.engine.count > 0; ) {
    if (toCome > 0 && random(3) === 0) {
      toCome--;
      const request = random(REQUESTS.length);
      const service = SERVICES[random(SERVICES.length)];
      // Now and then several answers to one prompt.
      for (let answers = random(4) === 0 ? 3 : 1; answers > 0; answers--) {
        const credit = random(4);
        const { received, generation } = bench.submit({ ...REQUESTS[request], credit }, service);
        given.push({ request, received });
        live.push({ ...generation, credit });
      }
    }
    for (const one of live) {
      if (random(40) === 0) one.move();
      one.credit += random(4);
      one.grant(one.credit);
      if (random(60) === 0) one.cancel();
    }
    const before = given.map(({ received }) => received.tokens.length);
    if (bench.engine.hasWork) bench.engine.step();
    speculated += given.filter(({ received }, i) => received.tokens.length > before[i] + 1).length;
  }
  return { given, speculated };
}

/** In the SystemC model's timing drafts pay more often. */
const CASES = [
  { name: 'kv260', timing: 'systemc', schedules: 200, drafts: 50 },
  { name: 'kv260-2026-v3', timing: 'synthesised', schedules: 100, drafts: 20 },
  { name: 'kv260-2026-v3', timing: 'systemc', schedules: 100, drafts: 50 },
  { name: 'kv260-2026-v4', timing: 'synthesised', schedules: 100, drafts: 20 },
  { name: 'kv260-2026-v4', timing: 'systemc', schedules: 100, drafts: 50 },
] as const;

it.each(CASES)(
  'sequences of $schedules random schedules get, to the bit, the tokens that each gets alone, on $name in the $timing timing',
  ({ name, timing, schedules, drafts }) => {
    const board = openMockBoard({ ...loadBoardDescription(name), timing });
    const accelerator = new Accelerator(board);
    const most = schedules / 100;
    const metrics = new EngineMetrics();
    const counts = { finished: 0, cancelled: 0, speculated: 0, searched: 0 };
    const models = [load(accelerator, 'f16', 5), load(accelerator, 'f16', 32), load(accelerator, 'int8', 12)];
    const alone = models.map((model) =>
      REQUESTS.map((request) => {
        const bench = new Bench(model);
        const { received } = bench.submit({ ...request, promptLookup: false });
        bench.run();
        model.kvPool.clear();
        return received;
      }),
    );
    for (let schedule = 0; schedule < schedules; schedule++) {
      const generator = new Random(schedule);
      const which = schedule % models.length;
      const below = (limit: number) => generator.nextUint32() % limit;
      const { given, speculated } = runSchedule(board, models[which], below, metrics);
      counts.speculated += speculated;
      for (const { request, received } of given) {
        const expected = alone[which][request];
        expect(received.error).toBeUndefined();
        if (received.result?.reason === 'cancelled') counts.cancelled++;
        else {
          counts.finished++;
          expect(received.tokens).toHaveLength(expected.tokens.length);
          expect(received.result?.beams).toEqual(expected.result?.beams);
          counts.searched += received.result?.beams === undefined ? 0 : 1;
        }
        expect(received.tokens).toEqual(expected.tokens.slice(0, received.tokens.length));
      }
      expect(models[which].kvPool.stats.used).toBe(0);
    }
    // The schedules were what they are meant to be.
    expect(counts.finished).toBeGreaterThan(200 * most);
    expect(counts.cancelled).toBeGreaterThan(20 * most);
    expect(counts.searched).toBeGreaterThan(15 * most);
    const { interactive, batch } = metrics.classes;
    // Those that were moved.
    expect(interactive.cancelled + batch.cancelled).toBeGreaterThan(counts.cancelled + 40 * most);
    expect(interactive.preempted + batch.preempted).toBeGreaterThan(20 * most);
    expect(metrics.recovered).toBeGreaterThan(5 * most);
    expect(metrics.recovered).toBe(metrics.faults);
    expect(counts.speculated).toBeGreaterThan(drafts * most);
    expect(models[0].kvPool.stats.hits).toBeGreaterThan(20 * most);
  },
  60_000,
);

/** Windows, caps and norms after; biases; experts. Rows of 48 and of 96 values are the CPU's, or padded for the core. */
it.each([
  ['gemma2-f16.gguf', 'exact'],
  ['qwen2-f16.gguf', 'exact'],
  ['qwen3moe-f16.gguf', 'exact'],
  ['qwen3moe-f16.gguf', 'all'],
  ['qwen2-d96-Q4_K_M.gguf', 'padded'],
] as const)(
  'sequences of random schedules get, to the bit, the tokens that each gets alone, of %s with core types %s',
  (file, coreTypes) => {
    const family = openGguf(fileSource(join('test', 'fixtures', 'families', file)));
    const board = openMockBoard(loadBoardDescription('kv260'));
    const metrics = new EngineMetrics();
    const counts = { finished: 0, cancelled: 0, speculated: 0 };
    for (const [which, [kvType, maxColumns]] of (
      [
        ['f16', 5],
        ['int8', 12],
      ] as const
    ).entries()) {
      const { layers, heads, kvHeads, headDim } = readConfig(family);
      const { frameBytes } = new KvLayout({ layers, heads, kvHeads, headDim }, kvType);
      const accelerator = coreTypes === 'exact' ? undefined : new Accelerator(board);
      const kvBytes = PAGES * 2 * frameBytes;
      const model = loadModel(family, { accelerator, coreTypes, kvType, kvBytes, maxColumns });
      const alone = REQUESTS.map((request) => {
        const bench = new Bench(model);
        const { received } = bench.submit({ ...request, promptLookup: false });
        bench.run();
        model.kvPool.clear();
        return received;
      });
      for (let schedule = 0; schedule < 25; schedule++) {
        const generator = new Random(100 * which + schedule);
        const below = (limit: number) => generator.nextUint32() % limit;
        const { given, speculated } = runSchedule(board, model, below, metrics);
        counts.speculated += speculated;
        for (const { request, received } of given) {
          expect(received.error).toBeUndefined();
          if (received.result?.reason === 'cancelled') counts.cancelled++;
          else {
            counts.finished++;
            expect(received.tokens).toHaveLength(alone[request].tokens.length);
            expect(received.result?.beams).toEqual(alone[request].result?.beams);
          }
          expect(received.tokens).toEqual(alone[request].tokens.slice(0, received.tokens.length));
        }
        expect(model.kvPool.stats.used).toBe(0);
      }
      expect(model.kvPool.stats.hits).toBeGreaterThan(5);
      model.close();
      accelerator?.close();
    }
    expect(counts.finished).toBeGreaterThan(80);
    expect(counts.cancelled).toBeGreaterThan(8);
    const { interactive, batch } = metrics.classes;
    expect(interactive.preempted + batch.preempted).toBeGreaterThan(8);
  },
  120_000,
);
