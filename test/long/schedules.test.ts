import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadBoardDescription } from '../../board/description-file.js';
import { Accelerator } from '../../driver/accelerator.js';
import { fileSource, GgmlType, openGguf } from '../../gguf/index.js';
import type { GenerateRequest } from '../../llm/engine/request.js';
import { KvLayout, type KvType } from '../../llm/kv/layout.js';
import { SpillFolder } from '../../llm/kv/spill-folder.js';
import { kvShapeOf, readConfig } from '../../llm/model/config.js';
import { loadModel } from '../../llm/model/load-model.js';
import { EngineMetrics } from '../../llm/scheduling/index.js';
import { Random } from '../../maths/index.js';
import { type MockBoard, openMockBoard } from '../../mock-device/index.js';
import { convolvingGguf } from '../unit/llm/convolving.js';
import { Bench, changed, type Received, syntheticGguf } from '../unit/llm/models.js';

/** Pages of the pool: about two sequences of the longest kind, so that others have to give way. */
const PAGES = 5;

const gguf = syntheticGguf(() => GgmlType.Q3_K, { layers: 1, feedForward: 256, vocabulary: 300 });

const CONVOLVING = convolvingGguf({
  embedding: 256,
  feedForward: 256,
  vocabulary: 300,
  contextLength: 64,
  type: GgmlType.Q3_K,
});

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

/** Each has got what it gets alone: all of it, or the beginning where it was cancelled. Counts which. */
function expectAsAlone(
  given: readonly Given[],
  alone: readonly Received[],
  counts: { finished: number; cancelled: number; searched?: number },
): void {
  for (const { request, received } of given) {
    const expected = alone[request];
    expect(received.error).toBeUndefined();
    if (received.result?.reason === 'cancelled') counts.cancelled++;
    else {
      counts.finished++;
      expect(received.tokens).toHaveLength(expected.tokens.length);
      expect(received.result?.beams).toEqual(expected.result?.beams);
      if (counts.searched !== undefined) counts.searched += received.result?.beams === undefined ? 0 : 1;
    }
    expect(received.tokens).toEqual(expected.tokens.slice(0, received.tokens.length));
  }
}

/** Requests that join, read slowly, are moved, cancelled and lose their memory at random, on an engine of their own. */
function runSchedule(
  board: MockBoard,
  model: ReturnType<typeof load>,
  random: (below: number) => number,
  metrics: EngineMetrics,
  { requests = REQUESTS, spill }: { requests?: readonly GenerateRequest[]; spill?: SpillFolder } = {},
) {
  let clock = 0;
  const bench = new Bench(model, {
    metrics,
    spill,
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
      const request = random(requests.length);
      const service = SERVICES[random(SERVICES.length)];
      // Now and then several answers to one prompt.
      for (let answers = random(4) === 0 ? 3 : 1; answers > 0; answers--) {
        const credit = random(4);
        const { received, generation } = bench.submit({ ...requests[request], credit }, service);
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
      expectAsAlone(given, alone[which], counts);
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

const FAMILIES = join('test', 'fixtures', 'families');
const familyFile = (file: string) => openGguf(fileSource(join(FAMILIES, file)));

/** Each family, with rows of 48 values on the CPU; others on the core, as they are or in other forms. */
it.each([
  ...readdirSync(FAMILIES)
    .filter((file) => file.endsWith('-f16.gguf'))
    .map((file) => [file, 'exact', familyFile(file), 0] as const),
  ['qwen3moe-f16.gguf', 'all', familyFile('qwen3moe-f16.gguf'), 0],
  ['qwen2-d96-Q4_K_M.gguf', 'padded', familyFile('qwen2-d96-Q4_K_M.gguf'), 0],
  ['lfm2-f16.gguf', 'all', familyFile('lfm2-f16.gguf'), 0],
  ['a model that convolves on the core', 'exact', CONVOLVING, 20],
] as const)(
  'sequences of random schedules get, to the bit, the tokens that each gets alone, of %s with core types %s',
  (_, coreTypes, family, drafts) => {
    const board = openMockBoard({ ...loadBoardDescription('kv260'), timing: 'systemc' });
    const folder = mkdtempSync(join(tmpdir(), 'schedules-'));
    const spill = new SpillFolder(folder, 1 << 24);
    const metrics = new EngineMetrics();
    const counts = { finished: 0, cancelled: 0, speculated: 0, restored: 0 };
    for (const [which, [kvType, maxColumns]] of (
      [
        ['f16', 5],
        ['int8', 12],
      ] as const
    ).entries()) {
      const accelerator = new Accelerator(board);
      const { frameBytes, pageFrames, rowFrames } = new KvLayout(kvShapeOf(readConfig(family)), kvType);
      const pages = kvType === 'f16' ? PAGES : 2 * PAGES;
      const kvBytes = (pages * pageFrames + 2 * rowFrames) * frameBytes;
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
        const { given, speculated } = runSchedule(board, model, below, metrics, {
          ...(schedule % 4 > 0 && { spill }),
        });
        counts.speculated += speculated;
        expectAsAlone(given, alone, counts);
        expect(model.kvPool.stats.used).toBe(0);
      }
      const { hits, restored, spillFailures } = model.kvPool.stats;
      expect(hits).toBeGreaterThan(5);
      expect(spillFailures).toBe(0);
      counts.restored += restored;
      model.kvPool.clear();
      model.close();
      accelerator.close();
    }
    expect(spill.bytes).toBe(0);
    rmSync(folder, { recursive: true });
    expect(counts.restored).toBeGreaterThan(0);
    expect(counts.finished).toBeGreaterThan(80);
    expect(counts.cancelled).toBeGreaterThan(8);
    expect(counts.speculated).toBeGreaterThanOrEqual(drafts);
    const { interactive, batch } = metrics.classes;
    expect(interactive.preempted + batch.preempted).toBeGreaterThan(8);
  },
  120_000,
);

/** Drafts pay where the core computes. */
const ON_CORE = join('..', 'shared', 'kit', 'gemma3-Q4_K_M.gguf');

/** Windows that are shorter than a page, and longer than several; prompts that are longer than both. */
it.each(
  [
    [join(FAMILIES, 'gemma2-f16.gguf'), 5, 'f16'],
    [join(FAMILIES, 'gemma2-f16.gguf'), 40, 'int8'],
    [join(FAMILIES, 'gemma3-f16.gguf'), 5, 'int8'],
    [join(FAMILIES, 'gemma3-f16.gguf'), 16, 'f16'],
    [join(FAMILIES, 'gemma3-f16.gguf'), 70, 'f16'],
    ...([20, 50] as const).map((window) => [ON_CORE, window, window === 20 ? 'f16' : 'int8'] as const),
  ].filter(([path]) => existsSync(path as string)) as [string, number, KvType][],
)(
  'sequences of random schedules get, to the bit, the tokens that each gets alone, of %s with windows of %s in %s',
  (path, window, kvType) => {
    const gguf = openGguf(fileSource(path));
    const architecture = gguf.metadata.get('general.architecture');
    const family = changed(gguf, { [`${architecture}.attention.sliding_window`]: window });
    const requests = REQUESTS.map((request, i) => {
      const prompt = Array.from(
        { length: 5 * request.prompt.length },
        (_, t) => request.prompt[t % request.prompt.length] + (i < 8 ? Math.floor(t / 50) : 0),
      );
      return { ...request, prompt, maxTokens: 2 * (request.maxTokens ?? 1) };
    });
    const board = openMockBoard(loadBoardDescription('kv260'));
    const accelerator = path === ON_CORE ? new Accelerator(board) : undefined;
    const metrics = new EngineMetrics();
    const folder = mkdtempSync(join(tmpdir(), 'schedules-'));
    const spill = new SpillFolder(folder, 1 << 24);
    const layout = new KvLayout(kvShapeOf(readConfig(family)), kvType);
    // Room for a sequence of the longest kind, and about half of another one.
    const kvBytes = Math.ceil(1.6 * layout.framesOf(256)) * layout.frameBytes;
    const model = loadModel(family, { accelerator, kvType, kvBytes, maxColumns: 24 });
    // Alone and in plenty, nothing of a window is ever thrown out.
    const plenty = loadModel(family, { accelerator, kvType, kvBytes: 1 << 24, maxColumns: 24 });
    const alone = requests.map((request) => {
      const bench = new Bench(plenty);
      const { received } = bench.submit({ ...request, promptLookup: false });
      bench.run();
      plenty.kvPool.clear();
      return received;
    });
    const counts = { finished: 0, cancelled: 0, speculated: 0 };
    for (let schedule = 0; schedule < 40; schedule++) {
      const generator = new Random(schedule);
      const below = (limit: number) => generator.nextUint32() % limit;
      const options = { requests, ...(schedule % 4 > 0 ? { spill } : {}) };
      const { given, speculated } = runSchedule(board, model, below, metrics, options);
      counts.speculated += speculated;
      expectAsAlone(given, alone, counts);
      expect(model.kvPool.stats.used).toBe(0);
    }
    const { hits, restored, spillFailures, evictions } = model.kvPool.stats;
    model.kvPool.clear();
    expect(model.kvPool.memory.freeFrames).toBe(model.kvPool.memory.frames);
    expect(spill.bytes).toBe(0);
    rmSync(folder, { recursive: true });
    expect(counts.finished).toBeGreaterThan(40);
    expect({ hits, evictions, restored }).toEqual({
      hits: expect.toSatisfy((count: number) => count > 5),
      evictions: expect.toSatisfy((count: number) => count > 5),
      restored: expect.toSatisfy((count: number) => count > 0),
    });
    if (accelerator !== undefined) expect(counts.speculated).toBeGreaterThan(5);
    expect(spillFailures).toBe(0);
    model.close();
    plenty.close();
    accelerator?.close();
  },
  240_000,
);
