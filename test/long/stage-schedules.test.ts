import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fileSource, GgmlType, type GgufFile, openGguf } from '../../gguf/index.js';
import type { GenerateRequest } from '../../llm/engine/request.js';
import { KvLayout, type KvType } from '../../llm/kv/layout.js';
import { kvShapeOf, readConfig } from '../../llm/model/config.js';
import { loadModel } from '../../llm/model/load-model.js';
import { EngineMetrics } from '../../llm/scheduling/index.js';
import { Random } from '../../maths/index.js';
import { Bench, syntheticGguf } from '../unit/llm/models.js';
import { Pipeline, type PipelineOptions } from '../unit/llm/stages/pipeline.js';
import { expectAsAlone, newCounts, runSchedule } from '../unit/llm/stages/schedule.js';

/** Prompts of every length, some with a common beginning, some that repeat themselves; sampled and greedy, and beam searches. */
const REQUESTS: GenerateRequest[] = Array.from({ length: 18 }, (_, i) => {
  const length = [1, 7, 15, 16, 17, 31, 33, 40][i % 8]!;
  const prompt = Array.from({ length }, (_, t) =>
    i < 8 ? 3 + ((t * 7) % 11) : 3 + ((i * 31 + t * 17) % 200),
  );
  if (i >= 16) return { prompt, maxTokens: 4, ignoreEos: true, beams: { width: 2 } };
  return {
    prompt,
    maxTokens: 3 + (i % 5) * 3,
    ignoreEos: true,
    promptLookup: i % 2 === 0,
    sampling: {
      topLogprobs: i % 3,
      ...(i % 3 === 0 ? { temperature: 0 } : { temperature: 1, seed: i, repeatPenalty: i % 5 ? 1 : 1.2 }),
      // With few tokens to choose from drafts are right now and then.
      ...(i % 4 === 0 ? { logitBias: [3, 4].map((token) => [token, 50] as const) } : {}),
    },
  };
});

function run(
  gguf: GgufFile,
  cuts: readonly (readonly number[])[],
  options: PipelineOptions,
  schedules: number,
) {
  const pipelines = cuts.map((cut) => new Pipeline(gguf, cut, options));
  const whole = loadModel(gguf, options.load);
  const alone = REQUESTS.map((request) => {
    const bench = new Bench(whole);
    const { received } = bench.submit({ ...request, promptLookup: false });
    bench.run();
    whole.kvPool.clear();
    return received;
  });
  const counts = newCounts();
  const metrics = new EngineMetrics();
  for (let schedule = 0; schedule < schedules; schedule++) {
    const random = new Random(schedule);
    const choose = (below: number) => random.nextUint32() % below;
    const given = runSchedule({
      requests: REQUESTS,
      pipelines,
      elsewhere: new Bench(whole),
      choose,
      metrics,
      counts,
    });
    expectAsAlone(given, alone, counts);
    expect(whole.kvPool.stats.used).toBe(0);
  }
  const faults = pipelines.flatMap(({ stages }) => stages.map((stage) => stage.faults));
  const hits = pipelines.reduce((sum, { last }) => sum + last.kvPool.stats.hits, 0);
  const { interactive, batch } = metrics.classes;
  const preempted = interactive.preempted + batch.preempted;
  const recovered = faults.reduce((sum, one) => sum + one.recovered, metrics.recovered);
  for (const pipeline of pipelines) pipeline.close();
  whole.close();
  return { ...counts, hits, preempted, recovered };
}

/** Bytes of so many pages of all layers, with what open ones have beside. */
function bytesOf(gguf: GgufFile, pages: number, kvType: KvType): number {
  const { frameBytes, pageFrames, openFrames, rowFrames } = new KvLayout(kvShapeOf(readConfig(gguf)), kvType);
  return (pages * pageFrames + 2 * (openFrames - pageFrames) + 2 * rowFrames) * frameBytes;
}

it.each([
  { stages: 2, layers: 3, cuts: [[1], [2]], kvType: 'f16', board: 'kv260', timing: 'systemc' },
  { stages: 2, layers: 3, cuts: [[1], [2]], kvType: 'int8', board: 'kv260-2026-v3', timing: 'synthesised' },
  {
    stages: 4,
    layers: 5,
    cuts: [
      [1, 2, 3],
      [1, 2, 4],
      [2, 3, 4],
    ],
    kvType: 'f16',
    board: 'kv260-2026-v3',
    timing: 'synthesised',
  },
  {
    stages: 4,
    layers: 5,
    cuts: [
      [1, 2, 3],
      [1, 3, 4],
    ],
    kvType: 'int8',
    board: 'kv260',
    timing: 'systemc',
  },
] as const)(
  'sequences of 75 random schedules on $stages stages get, to the bit, what each gets on one board alone ($kvType, $timing)',
  ({ layers, cuts, kvType, board, timing }) => {
    const gguf = syntheticGguf(() => GgmlType.Q3_K, { layers, feedForward: 256, vocabulary: 300 });
    const load = { kvType, maxColumns: 12 } as const;
    const counts = run(gguf, cuts, { board, timing, load, kvBytes: bytesOf(gguf, 8, kvType) }, 75);
    // The schedules were what they are meant to be.
    const atLeast = (least: number) =>
      expect.toSatisfy((count: number) => count >= least, `at least ${least}`);
    expect(counts).toEqual({
      finished: atLeast(150),
      cancelled: atLeast(40),
      aborted: atLeast(15),
      left: atLeast(10),
      stolen: atLeast(60),
      drained: atLeast(2),
      full: atLeast(45),
      lost: atLeast(20),
      mostLost: atLeast(2),
      pinned: atLeast(25),
      speculated: atLeast(10),
      hits: atLeast(20),
      preempted: atLeast(8),
      recovered: atLeast(20),
    });
  },
  1_800_000,
);

const FAMILIES = join('test', 'fixtures', 'families');

/** Layers with windows, and such that convolve, are not in all stages: pages have places for them all the same. */
const CUTS: Readonly<Record<string, readonly (readonly number[])[]>> = {
  gemma2: [[1], [2], [1, 2]],
  gemma3: [[5], [6], [1, 3, 6]],
  lfm2: [[1], [2], [1, 2]],
  smollm3: [[2], [1, 3]],
};

it.each(
  readdirSync(FAMILIES)
    .filter((file) => file.endsWith('.gguf'))
    .flatMap((file) => [[file, 'f16'] as const, [file, 'int8'] as const]),
)(
  'the same of %s in %s',
  (file, kvType) => {
    const gguf = openGguf(fileSource(join(FAMILIES, file)));
    const cuts = CUTS[file.split('-')[0]!] ?? [[1]];
    const load = { kvType, maxColumns: 12 };
    const counts = run(gguf, cuts, { hasBoards: false, load, kvBytes: 2 * bytesOf(gguf, 8, kvType) }, 15);
    expect(counts.finished).toBeGreaterThan(20);
    expect(counts.full).toBeGreaterThan(4);
    expect(counts.aborted + counts.left).toBeGreaterThan(2);
    expect(counts.hits).toBeGreaterThan(4);
  },
  600_000,
);
