import { afterAll, expect, it } from 'vitest';
import { PynqLlmError } from '../../../../errors/index.js';
import { GgmlType } from '../../../../gguf/index.js';
import { Engine } from '../../../../llm/engine/engine.js';
import type { GenerateRequest, TokenOutput } from '../../../../llm/engine/request.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { Stage } from '../../../../llm/stages/index.js';
import { Random } from '../../../../maths/index.js';
import { Bench, type Received, syntheticGguf } from '../models.js';
import { Pipeline } from './pipeline.js';

const gguf = syntheticGguf(() => GgmlType.Q3_K, { layers: 4, feedForward: 256, vocabulary: 300 });
const REQUESTS: GenerateRequest[] = Array.from({ length: 6 }, (_, i) => ({
  prompt: Array.from({ length: [1, 17, 40, 33, 40, 5][i]! }, (_, t) => 3 + ((t * 7) % 11)),
  maxTokens: 6,
  ignoreEos: true,
  promptLookup: i % 2 === 0,
  sampling: { temperature: 1, seed: i, topLogprobs: 2 },
}));

const whole = loadModel(gguf, { maxColumns: 16 });
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
});

function submit(engine: Engine, request: GenerateRequest): Received {
  const received: Received = { tokens: [] };
  engine.submit(request, {
    onToken: (token) => received.tokens.push(token),
    onDone: (result) => {
      received.result = result;
    },
    onError: (error) => {
      received.error = error;
    },
  });
  return received;
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
