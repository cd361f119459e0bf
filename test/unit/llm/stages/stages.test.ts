import { afterAll, expect, it } from 'vitest';
import { PynqLlmError } from '../../../../errors/index.js';
import { GgmlType } from '../../../../gguf/index.js';
import { Engine } from '../../../../llm/engine/engine.js';
import type { ServiceOptions, TokenSink } from '../../../../llm/engine/job.js';
import type { GenerateRequest, TokenOutput } from '../../../../llm/engine/request.js';
import type { Scores } from '../../../../llm/engine/score-sequence.js';
import { KvLayout } from '../../../../llm/kv/layout.js';
import { kvShapeOf, readConfig } from '../../../../llm/model/config.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { type CacheChange, CacheMirror, Stage, type StageBatch } from '../../../../llm/stages/index.js';
import { Random } from '../../../../maths/index.js';
import { Bench, type Received, syntheticGguf } from '../models.js';
import { Pipeline } from './pipeline.js';
import { expectAsAlone, newCounts, runSchedule } from './schedule.js';

const gguf = syntheticGguf(() => GgmlType.Q3_K, { layers: 4, feedForward: 256, vocabulary: 300 });
const REQUESTS: GenerateRequest[] = Array.from({ length: 6 }, (_, i) => ({
  prompt: Array.from({ length: [1, 17, 40, 33, 40, 5][i]! }, (_, t) => 3 + ((t * 7) % 11)),
  maxTokens: 6,
  ignoreEos: true,
  promptLookup: i % 2 === 0,
  sampling: { temperature: 1, seed: i, topLogprobs: 2 },
}));

const whole = loadModel(gguf, { maxColumns: 16 });
/** Of the same tokens. */
const draft = loadModel(syntheticGguf(() => GgmlType.Q3_K, { layers: 1, feedForward: 256, vocabulary: 300 }));
const alone = REQUESTS.map((request) => {
  const bench = new Bench(whole);
  const { received } = bench.submit(request);
  bench.run();
  return received;
});

const pipeline = new Pipeline(gguf, [1, 3], { load: { maxColumns: 16 } });
afterAll(() => {
  pipeline.close();
  whole.close();
  draft.close();
});

function submit(
  engine: Engine,
  request: GenerateRequest,
  service: ServiceOptions = {},
): Received & { cancel(): void } {
  const received: Received = { tokens: [] };
  const sink: TokenSink = {
    onToken: (token) => received.tokens.push(token),
    onDone: (result) => {
      received.result = result;
    },
    onError: (error) => {
      received.error = error;
    },
  };
  const generation = engine.submit(request, sink, service);
  return Object.assign(received, { cancel: () => generation.cancel() });
}

const said = (tokens: readonly TokenOutput[]) =>
  tokens.map(({ index, id, text, logprob, top }) => ({ index, id, text, logprob, top }));

it('gives, with several batches under way, the tokens and log-probabilities of one board, to the bit', () => {
  const random = new Random(1);
  pipeline.restart({});
  const given = REQUESTS.map((request) => submit(pipeline.engine, request));
  pipeline.run((below) => random.nextUint32() % below);
  for (const [i, { tokens, result }] of given.entries()) {
    expect(said(tokens)).toEqual(said(alone[i]!.tokens));
    expect(result?.reason).toBe('max-tokens');
  }
  expect(pipeline.mostUnderWay).toBeGreaterThanOrEqual(3);
});

it('has pieces of one prompt under way in several batches', () => {
  pipeline.restart({});
  const { tokens } = submit(pipeline.engine, REQUESTS[2]!);
  for (let piece = 0; piece < 3; piece++) expect(pipeline.begin()).toBe(true);
  expect(pipeline.begin()).toBe(false);
  expect(pipeline.engine.hasWork).toBe(false);
  pipeline.run();
  expect(said(tokens)).toEqual(said(alone[2]!.tokens));
});

it('goes on by continuation where a plan is lost with batches under way', () => {
  pipeline.restart({});
  const given = REQUESTS.map((request) => submit(pipeline.engine, request));
  for (let i = 0; i < 40; i++) {
    pipeline.begin();
    pipeline.compute(pipeline.waiting[i % pipeline.waiting.length]!);
  }
  pipeline.begin();
  expect(pipeline.underWay).toBeGreaterThan(1);
  pipeline.engine.abort(new PynqLlmError('LLM_STAGE_BATCH', 'A stage is lost.'));
  pipeline.restart({});
  expect(pipeline.engine.count).toBe(0);
  for (const { kvPool } of pipeline.models) expect(kvPool.memory.freeFrames).toBe(kvPool.memory.frames);
  const rest = given.map(({ tokens, error, result }, i) => {
    if (result !== undefined) return undefined;
    expect(error).toMatchObject({ code: 'LLM_STAGE_BATCH' });
    return submit(pipeline.engine, { ...REQUESTS[i]!, continueFrom: tokens.map(({ id }) => id) });
  });
  expect(rest.filter((one) => one !== undefined).length).toBeGreaterThan(2);
  pipeline.run();
  for (const [i, { tokens }] of given.entries())
    expect(said([...tokens, ...(rest[i]?.tokens ?? [])])).toEqual(said(alone[i]!.tokens));
});

it('refuses what is out of order, or not of the pool of the engine', () => {
  pipeline.restart({});
  submit(pipeline.engine, REQUESTS[0]!);
  const batch = pipeline.engine.begin()!;
  const [first, second] = pipeline.stages;
  expect(() => first!.run({ ...batch, number: 1 })).toThrow(/LLM_STAGE_BATCH.*0 is the next/);
  expect(() => first!.run({ ...batch, freeFrames: 1 })).toThrow(/LLM_STAGE_DIVERGED.*1 there/);
  first!.reset();
  expect(() => second!.run(batch)).toThrow(/LLM_STAGE_BATCH.*0 values/);
  const hidden = first!.run(batch);
  expect(() => pipeline.engine.complete(1, hidden)).toThrow(/LLM_STAGE_BATCH/);
  expect(() => pipeline.engine.complete(0)).toThrow(/LLM_STAGE_BATCH/);
  expect(() => new Engine(pipeline.models[0]!)).toThrow(/LLM_STAGE_RANGE/);
  expect(() => new Stage(pipeline.last)).toThrow(/LLM_STAGE_RANGE/);
  expect(() => new Engine(whole).begin()).toThrow(/LLM_STAGE_UNSUPPORTED/);
  for (const range of [
    { from: 2, to: 2 },
    { from: -1, to: 2 },
    { from: 0, to: 5 },
    { from: 0.5, to: 2 },
  ])
    expect(() => loadModel(gguf, { range })).toThrow(/LLM_STAGE_RANGE/);
});

it('computes nothing after an error, until the next plan begins', () => {
  pipeline.restart({});
  submit(pipeline.engine, REQUESTS[0]!);
  const batch = pipeline.engine.begin()!;
  const [stage] = pipeline.stages;
  pipeline.boards[0]!.injectFault({ name: 'dma-decode-error', count: 2 });
  expect(() => stage!.run(batch)).toThrow(/DRIVER_/);
  const next = { ...batch, number: 1, changes: [], columns: [{ ...batch.columns[0]!, position: 1 }] };
  for (const late of [batch, next]) expect(() => stage!.run(late)).toThrow(/LLM_STAGE_BATCH.*after an error/);
  stage!.reset();
  expect(stage!.run(batch)).toHaveLength(256);
});

it('refuses batches that no engine makes, and forgets what came of them', () => {
  pipeline.restart({});
  const [stage] = pipeline.stages;
  const { kvPool } = pipeline.models[0]!;
  const column = (position: number, cache = 0) => ({ cache, token: 3, position, wantsLogits: false });
  const prompt = Array.from({ length: 20 }, (_, position) => column(position));
  const hostile: [changes: CacheChange[], columns: StageBatch['columns']][] = [
    [[{ kind: 'settle', cache: 0, certain: 33 }], [column(20)]],
    [[{ kind: 'fork', cache: 0, into: 0 }], [column(20)]],
    [
      [
        { kind: 'pin', pin: 0, tokens: [3] },
        { kind: 'pin', pin: 0, tokens: [3] },
      ],
      [column(20)],
    ],
    [[], [column(20), column(3)]],
    [[], [column(4, 1)]],
    [Array.from({ length: 5_000 }, (_, cache) => ({ kind: 'truncate', cache, length: 1 })), [column(20)]],
  ];
  for (const [changes, columns] of hostile) {
    const begin = { number: 0, changes: [], columns: prompt, freeFrames: kvPool.memory.frames - 4 };
    expect(stage!.run(begin)).toHaveLength(20 * 256);
    const { freeFrames } = kvPool.memory;
    expect(() => stage!.run({ number: 1, changes, columns, freeFrames })).toThrow(/LLM_STAGE_DIVERGED/);
    stage!.reset();
    expect(kvPool.memory.freeFrames).toBe(kvPool.memory.frames);
  }
});

it('ends what was cancelled as that, though its plan or its step is lost while a batch of it is under way', () => {
  pipeline.restart({});
  const [first, second] = [submit(pipeline.engine, REQUESTS[0]!), submit(pipeline.engine, REQUESTS[5]!)];
  expect([pipeline.begin(), pipeline.begin()]).toEqual([true, true]);
  for (const { cancel } of [first, second]) cancel();
  for (const stage of [0, 1]) pipeline.compute(stage);
  pipeline.boards[2]!.injectFault({ name: 'dma-decode-error', count: 2 });
  pipeline.compute(2);
  expect([first, second].filter(({ result }) => result !== undefined)).toHaveLength(1);
  pipeline.engine.abort(new PynqLlmError('LLM_STAGE_BATCH', 'A stage is lost.'));
  for (const { result, error } of [first, second])
    expect([result?.reason, error]).toEqual(['cancelled', undefined]);
});

it('has the right pages where a piece of a prompt fails twice with later ones under way', () => {
  pipeline.restart({});
  const failed = submit(pipeline.engine, REQUESTS[2]!);
  for (let piece = 0; piece < 3; piece++) expect(pipeline.begin()).toBe(true);
  for (const stage of [0, 1]) for (let piece = 0; piece < 3; piece++) pipeline.compute(stage);
  pipeline.compute(2);
  pipeline.boards[2]!.injectFault({ name: 'dma-decode-error', count: 2 });
  pipeline.compute(2);
  expect(failed.error).toMatchObject({ code: expect.stringMatching(/^DRIVER_/) });
  const again = submit(pipeline.engine, REQUESTS[2]!);
  pipeline.run();
  expect(said(again.tokens)).toEqual(said(alone[2]!.tokens));
  expect(pipeline.last.kvPool.stats.hits).toBeGreaterThan(0);
});

it('ends at its completion what was cancelled, or is late, while a batch of it was under way', () => {
  let now = 0;
  pipeline.restart({ now: () => now });
  const cancelled = submit(pipeline.engine, REQUESTS[2]!);
  const late = submit(pipeline.engine, REQUESTS[0]!, { deadlineMs: 5 });
  while (cancelled.tokens.length < 2) {
    if (!pipeline.begin()) pipeline.compute(pipeline.waiting[0]!);
  }
  while (pipeline.begin());
  expect(pipeline.underWay).toBeGreaterThan(0);
  const before = cancelled.tokens.length;
  cancelled.cancel();
  now = 10;
  expect([cancelled.result, late.error]).toEqual([undefined, undefined]);
  expect(pipeline.engine.hasWork).toBe(false);
  pipeline.run();
  expect(cancelled.tokens).toHaveLength(before);
  expect(cancelled.result?.reason).toBe('cancelled');
  expect(late.error).toMatchObject({ code: 'LLM_DEADLINE' });
  expect(pipeline.last.kvPool.stats.used).toBe(0);
});

it('drafts with another model, searches and scores as one board does', () => {
  const request = { ...REQUESTS[3]!, promptLookup: false, maxTokens: 12 };
  const beams = { prompt: REQUESTS[3]!.prompt, maxTokens: 5, ignoreEos: true, beams: { width: 3 } };
  const tokens = REQUESTS[2]!.prompt;
  const of = (engine: Engine) => {
    const scores: Scores[] = [];
    const drafted = submit(engine, { ...request, draftModel: draft });
    const searched = submit(engine, beams);
    engine.score(
      tokens,
      { topLogprobs: 2, from: 0 },
      { onDone: (result) => scores.push(result), onCancelled: () => undefined, onError: () => undefined },
    );
    return { drafted, searched, scores };
  };
  const bench = new Bench(whole);
  const expected = of(bench.engine);
  bench.run();
  pipeline.restart({});
  const given = of(pipeline.engine);
  pipeline.run();
  expect(said(given.drafted.tokens)).toEqual(said(expected.drafted.tokens));
  expect(given.searched.result?.beams).toEqual(expected.searched.result?.beams);
  expect(given.searched.result?.beams).toHaveLength(3);
  expect(given.scores).toEqual(expected.scores);
  expect(given.scores[0]!.top).toHaveLength(tokens.length);
});

it('ends only the generations of a batch where the last device fails twice, and loses the plan where another does', () => {
  pipeline.restart({});
  const [first, second] = [submit(pipeline.engine, REQUESTS[0]!), submit(pipeline.engine, REQUESTS[5]!)];
  expect([pipeline.begin(), pipeline.begin()]).toEqual([true, true]);
  for (const stage of [0, 1]) for (let batch = 0; batch < 2; batch++) pipeline.compute(stage);
  pipeline.boards[2]!.injectFault({ name: 'dma-decode-error', count: 2 });
  pipeline.compute(2);
  const failed = [first, second].filter(({ error }) => error !== undefined);
  expect(failed).toHaveLength(1);
  expect(failed[0]!.error).toMatchObject({ code: expect.stringMatching(/^DRIVER_/) });
  pipeline.run();
  const other = first.error === undefined ? ([first, 0] as const) : ([second, 5] as const);
  expect(said(other[0].tokens)).toEqual(said(alone[other[1]]!.tokens));

  pipeline.restart({});
  submit(pipeline.engine, REQUESTS[0]!);
  pipeline.begin();
  pipeline.boards[0]!.injectFault({ name: 'dma-decode-error', count: 2 });
  expect(() => pipeline.compute(0)).toThrow(/DRIVER_/);
  expect(pipeline.stages[0]!.faults.faults).toBeGreaterThan(pipeline.stages[0]!.faults.recovered);
  pipeline.engine.abort(new PynqLlmError('LLM_STAGE_BATCH', 'A stage is lost.'));
});

it('begins only where nobody else has pages of the pool', () => {
  pipeline.restart({});
  const cache = pipeline.last.newCache();
  cache.reserve(1);
  expect(() => pipeline.restart({})).toThrow(/LLM_STAGE_UNSUPPORTED.*held by others/);
  cache.release();
  pipeline.restart({});
  expect(() => new Engine(pipeline.last, { microBatches: 0 })).toThrow(/LLM_STAGE_UNSUPPORTED/);
});

it('follows an engine that computes all layers, too', () => {
  const [model, other] = [loadModel(small), loadModel(small)];
  const engine = new Engine(model, { isMirrored: true });
  const mirror = new CacheMirror(other);
  const bench = new Bench(loadModel(small));
  const requests = [4, 20, 35].map((length, seed) => ({
    prompt: Array.from({ length }, (_, t) => 3 + (t % 9)),
    maxTokens: 20,
    ignoreEos: true,
    promptLookup: true,
    sampling: { temperature: 1, seed },
  }));
  const expected = requests.map((request) => bench.submit(request).received);
  bench.run();
  const given = requests.map((request) => submit(engine, request));
  for (let batch = engine.begin(); batch !== undefined; batch = engine.begin()) {
    mirror.follow(structuredClone(batch));
    engine.complete(batch.number);
  }
  expect(given.map(({ tokens }) => said(tokens))).toEqual(expected.map(({ tokens }) => said(tokens)));
  expect(other.kvPool.stats.hits).toBe(model.kvPool.stats.hits);
});

/** On the CPU, where a step takes next to nothing. */
const small = syntheticGguf(() => GgmlType.F32, {
  embedding: 32,
  layers: 4,
  feedForward: 32,
  heads: 4,
  kvHeads: 2,
  vocabulary: 260,
  contextLength: 128,
});

it('gives sequences of random schedules what each gets on one board alone', () => {
  const requests = REQUESTS.map((request) => ({
    ...request,
    prompt: request.prompt.map((token) => token % 200),
    ...(request.prompt.length === 17 && { beams: { width: 2 }, promptLookup: false, sampling: {} }),
  }));
  const one = loadModel(small, { maxColumns: 12 });
  const expected = requests.map((request) => {
    const bench = new Bench(one);
    const { received } = bench.submit(request);
    bench.run();
    return received;
  });
  const pipelines = [[1], [1, 3], [1, 2, 3]].map(
    // Room for about two of the longest.
    (cuts) =>
      new Pipeline(small, cuts, { hasBoards: false, load: { maxColumns: 12 }, kvBytes: 8 * 4 * 2 * 512 }),
  );
  const counts = newCounts();
  for (let seed = 0; seed < 12; seed++) {
    const random = new Random(seed);
    const choose = (below: number) => random.nextUint32() % below;
    const elsewhere = new Bench(one);
    const given = runSchedule({ requests, pipelines, elsewhere, choose, counts });
    expectAsAlone(given, expected, counts);
  }
  expect(counts.finished).toBeGreaterThan(30);
  expect(counts.full).toBeGreaterThan(8);
  expect(counts.aborted + counts.left).toBeGreaterThan(5);
});

it('tells little of pins that came and went while it computed nothing, and which pages are the next to go', () => {
  const { pageFrames, openFrames, frameBytes } = new KvLayout(kvShapeOf(readConfig(gguf)), 'f16');
  const kvBytes = (12 * pageFrames + 2 * openFrames) * frameBytes;
  const small = new Pipeline(gguf, [2], { load: { maxColumns: 16 }, kvBytes });
  small.restart({});
  const { engine, models } = small;
  const promptOf = (p: number, length: number) =>
    Array.from({ length }, (_, t) => 3 + (((t + 1) * (p + 5)) % 250));
  const compute = (prompt: readonly number[]) => {
    submit(engine, { prompt: [...prompt], maxTokens: 1, ignoreEos: true });
    small.run();
  };
  const held = () => models.map(({ kvPool }) => [...kvPool.heldPages().added].sort((a, b) => a - b));
  const prompts = [0, 1, 2].map((p) => promptOf(p, 49));
  for (const prompt of prompts) compute(prompt);
  expect(held()[0]).toHaveLength(9);

  const random = new Random(7);
  const pins: { release(): void }[] = [];
  const release = (i: number) => pins.splice(i, 1)[0]!.release();
  const come = () => {
    const prompt = prompts[random.nextUint32() % 3]!;
    // Also of prompts that end within a page.
    pins.push(small.last.kvPool.pin(prompt.slice(0, 16 + (random.nextUint32() % 32))));
  };
  for (let i = 0; i < 500; i++) {
    come();
    if (pins.length > 2) release(random.nextUint32() % pins.length);
  }
  expect(pins).toHaveLength(2);
  submit(engine, { prompt: [3, 4, 5], maxTokens: 1, ignoreEos: true });
  expect(small.begin()).toBe(true);
  // Two prefixes of each of three prompts, once each, and the two pins that are left.
  expect(small.lastBatch!.changes.filter(({ kind }) => kind === 'pin').length).toBeLessThanOrEqual(8);
  small.run();
  while (pins.length > 0) release(0);

  for (let p = 3; p < 14; p++) {
    compute(promptOf(p, 17));
    const [first, ...others] = held();
    for (const other of others) expect(other).toEqual(first);
  }
  expect(small.last.kvPool.stats.evictions).toBeGreaterThan(3);
  small.close();
});
