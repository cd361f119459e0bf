import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fileSource, GgmlType, openGguf } from '../../gguf/index.js';
import type { GenerateRequest } from '../../llm/engine/request.js';
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
  gguf: ReturnType<typeof openGguf>,
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
  for (const { faults: failed, recovered } of [...faults, metrics]) expect(recovered).toBe(failed);
  const hits = pipelines.reduce((sum, { last }) => sum + last.kvPool.stats.hits, 0);
  const { interactive, batch } = metrics.classes;
  const preempted = interactive.preempted + batch.preempted;
  const recovered = faults.reduce((sum, one) => sum + one.recovered, metrics.recovered);
  for (const pipeline of pipelines) pipeline.close();
  whole.close();
  return { ...counts, hits, preempted, recovered };
}

/** Bytes of about so many pages of all layers. */
const bytesOf = (layers: number, pages: number, kvType: 'f16' | 'int8') =>
  layers * pages * (kvType === 'f16' ? 2 * 2 * 16 * 64 : 3 * (2 * 16 * 64 + 64));

it.each([
  { stages: 2, layers: 3, cuts: [[1], [2]], kvType: 'f16', timing: 'systemc', schedules: 50 },
  { stages: 2, layers: 3, cuts: [[1], [2]], kvType: 'int8', timing: 'synthesised', schedules: 50 },
  {
    stages: 4,
    layers: 5,
    cuts: [
      [1, 2, 3],
      [1, 2, 4],
      [2, 3, 4],
    ],
    kvType: 'f16',
    timing: 'synthesised',
    schedules: 50,
  },
  {
    stages: 4,
    layers: 5,
    cuts: [
      [1, 2, 3],
      [1, 2, 4],
      [2, 3, 4],
    ],
    kvType: 'int8',
    timing: 'systemc',
    schedules: 50,
  },
] as const)(
  'sequences of $schedules random schedules on $stages stages get, to the bit, what each gets on one board alone ($kvType, $timing)',
  ({ layers, cuts, kvType, timing, schedules, stages }) => {
    const gguf = syntheticGguf(() => GgmlType.Q3_K, { layers, feedForward: 256, vocabulary: 300 });
    const load = { kvType, maxColumns: 12 } as const;
    const board = timing === 'systemc' ? 'kv260' : 'kv260-2026-v3';
    const counts = run(gguf, cuts, { board, timing, load, kvBytes: bytesOf(layers, 8, kvType) }, schedules);
    console.log(stages, kvType, JSON.stringify(counts));
  },
  600_000,
);

const FAMILIES = join('test', 'fixtures', 'families');

it.each([['gemma3-f16.gguf', [[1], [2]]]] as const)(
  'the same of %s',
  (file, cuts) => {
    const gguf = openGguf(fileSource(join(FAMILIES, file)));
    const counts = run(gguf, cuts, { hasBoards: false, load: { maxColumns: 12 } }, 10);
    console.log(file, JSON.stringify(counts));
  },
  600_000,
);
