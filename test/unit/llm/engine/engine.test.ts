import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/description-file.js';
import { Accelerator } from '../../../../driver/accelerator.js';
import { isPynqLlmError, type PynqLlmError } from '../../../../errors/index.js';
import { fileSource, GgmlType, openGguf } from '../../../../gguf/index.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { EngineMetrics } from '../../../../llm/scheduling/index.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import {
  Bench,
  GREEDY,
  syntheticGguf,
  TINY_STORIES,
  textOf,
  tinyOfPages,
  tinyStories,
  tinyStoriesOnCore,
} from '../models.js';

const model = tinyStoriesOnCore();

/** Of the error that something throws. */
function contextOf(act: () => unknown): PynqLlmError['context'] {
  try {
    act();
  } catch (error) {
    if (isPynqLlmError(error)) return error.context;
  }
  throw new Error('no error of ours was thrown');
}

const ONCE = model.tokenizer.encode('Once upon a time');

describe('a generation', () => {
  it('numbers its tokens from 0 and ends at maxTokens', () => {
    const bench = new Bench(model);
    const { received } = bench.submit({ prompt: ONCE, maxTokens: 5, sampling: GREEDY });
    bench.run();
    expect(received.tokens.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
    expect(received.result).toMatchObject({ reason: 'max-tokens', tokens: 5 });
    expect(textOf(received)).toBe(', there was a little girl named Lily. She ');
  });

  it('the same seed draws the same tokens, another draws others', () => {
    const draw = (seed: number): number[] => {
      const bench = new Bench(model);
      const { received } = bench.submit({ prompt: ONCE, maxTokens: 8, sampling: { temperature: 1, seed } });
      bench.run();
      return received.tokens.map(({ id }) => id);
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it('ends at a stop string, which no token shows', () => {
    const bench = new Bench(model);
    const { received } = bench.submit({ prompt: ONCE, sampling: GREEDY, stop: ['was a'] });
    bench.run();
    expect(received.result?.reason).toBe('stop');
    expect(textOf(received)).toBe(', there ');
  });

  it('ends where the context is full', () => {
    const small = loadModel(openGguf(fileSource(TINY_STORIES)), { contextLength: 10 });
    const bench = new Bench(small);
    const { received } = bench.submit({ prompt: ONCE, sampling: GREEDY, ignoreEos: true });
    bench.run();
    // The cache holds the prompt and four tokens; the fifth needs no place.
    expect(received.result).toMatchObject({ reason: 'context-full', tokens: 10 - ONCE.length + 1 });
  });

  it('ends at the end of the text, and goes on where told to ignore it', () => {
    const end = model.tokenizer.eosId!;
    const sampling = { ...GREEDY, logitBias: [[end, 1000]] as const };
    const bench = new Bench(model);
    const ended = bench.submit({ prompt: ONCE, maxTokens: 3, sampling }).received;
    const ignoring = bench.submit({ prompt: ONCE, maxTokens: 3, sampling, ignoreEos: true }).received;
    bench.run();
    expect(ended.result).toMatchObject({ reason: 'end-of-text', tokens: 1 });
    expect(ended.tokens).toMatchObject([{ id: end, text: '' }]);
    expect(ignoring.result).toMatchObject({ reason: 'max-tokens', tokens: 3 });
  });

  it('reports the likeliest tokens with the model’s own log-probabilities', () => {
    const bench = new Bench(model);
    const { received } = bench.submit({
      prompt: ONCE,
      maxTokens: 1,
      sampling: { ...GREEDY, topLogprobs: 3 },
    });
    bench.run();
    const [{ id, logprob, top }] = received.tokens;
    expect(top).toHaveLength(3);
    expect(top[0]).toEqual({ id, logprob });
    expect(top[1].logprob).toBeLessThan(logprob);
  });
});

describe('back-pressure', () => {
  it('without room for a token nothing is computed for the sequence, and it goes on when there is', () => {
    const bench = new Bench(model);
    const { received, generation } = bench.submit({
      prompt: ONCE,
      maxTokens: 6,
      sampling: GREEDY,
      credit: 2,
    });
    bench.run();
    expect(received.tokens).toHaveLength(2);
    const { cpuMultiplyAdds } = model.cost();
    bench.engine.step();
    expect(model.cost().cpuMultiplyAdds).toBe(cpuMultiplyAdds);
    generation.grant(3);
    generation.grant(1);
    bench.run();
    expect(received.tokens).toHaveLength(3);
    generation.grant(100);
    bench.run();
    expect(received.result?.reason).toBe('max-tokens');
  });

  it('a client that reads nothing does not hold up another', () => {
    const bench = new Bench(model);
    const stuck = bench.submit({ prompt: ONCE, maxTokens: 6, credit: 0 }).received;
    const other = bench.submit({ prompt: ONCE, maxTokens: 6, sampling: GREEDY }).received;
    bench.run();
    expect(stuck.tokens).toHaveLength(0);
    expect(other.result?.tokens).toBe(6);
  });
});

describe('many clients that read nothing', () => {
  it('take no place from one that does', () => {
    const bench = new Bench(model);
    for (let i = 0; i < 10; i++) bench.submit({ prompt: ONCE, maxTokens: 6, sampling: GREEDY, credit: 1 });
    bench.run();
    const reader = bench.submit({ prompt: ONCE, maxTokens: 6, sampling: GREEDY }).received;
    bench.run();
    expect(reader.result?.tokens).toBe(6);
  });
});

describe('text that a stop string holds back', () => {
  it('comes with the last token where the stop string was not completed', () => {
    const bench = new Bench(model);
    const { received } = bench.submit({ prompt: ONCE, maxTokens: 5, sampling: GREEDY, stop: ['She never'] });
    bench.run();
    expect(received.tokens.map(({ text }) => text).join('')).toBe(
      ', there was a little girl named Lily. She ',
    );
    expect(received.result).toMatchObject({ reason: 'max-tokens', text: '' });
  });
});

describe('cancelling', () => {
  it('takes effect before the next step', () => {
    const bench = new Bench(model);
    const { received, generation } = bench.submit({ prompt: ONCE, sampling: GREEDY });
    while (received.tokens.length < 2) bench.engine.step();
    generation.cancel();
    bench.engine.step();
    expect(received.tokens).toHaveLength(2);
    expect(received.result?.reason).toBe('cancelled');
    expect(bench.engine.count).toBe(0);
    generation.cancel();
    expect(bench.engine.hasWork).toBe(false);
  });

  it('works for a request that still waits', () => {
    const bench = new Bench(model, { maxSequences: 1 });
    bench.submit({ prompt: ONCE, maxTokens: 2 });
    const { received, generation } = bench.submit({ prompt: ONCE });
    generation.cancel();
    bench.run();
    expect(received).toMatchObject({ tokens: [], result: { reason: 'cancelled', tokens: 0 } });
  });
});

describe('several sequences at a time', () => {
  const prompts = ['Once upon a time', 'The dog', 'Lily said: "', 'One day, a big red truck'].map((text) =>
    model.tokenizer.encode(text),
  );

  it('get the tokens that each gets alone', () => {
    const together = new Bench(model, { maxSequences: 3 });
    const received = prompts.map(
      (prompt, seed) => together.submit({ prompt, maxTokens: 12, sampling: { seed } }).received,
    );
    together.run();
    prompts.forEach((prompt, seed) => {
      const alone = new Bench(model);
      const expected = alone.submit({ prompt, maxTokens: 12, sampling: { seed } }).received;
      alone.run();
      expect(received[seed].tokens).toEqual(expected.tokens);
    });
  });

  it('share a step’s cost by their columns', () => {
    // All of it on the CPU: there every multiplication is counted.
    const onCpu = tinyStories();
    const bench = new Bench(onCpu);
    const before = onCpu.cost().cpuMultiplyAdds;
    const received = prompts.map((prompt) => bench.submit({ prompt, maxTokens: 4 }).received);
    bench.run();
    const shares = received.map(({ result }) => result!.cost.cpuMultiplyAdds);
    const total = shares.reduce((sum, share) => sum + share, 0);
    expect(total).toBeCloseTo(onCpu.cost().cpuMultiplyAdds - before, 0);
  });

  it('with more of them than columns each has its turn', () => {
    const narrow = loadModel(
      syntheticGguf(() => GgmlType.Q2_K),
      { maxColumns: 2 },
    );
    const bench = new Bench(narrow);
    const received = [1, 2, 3, 4, 5].map(
      (token) => bench.submit({ prompt: [token], maxTokens: 8, sampling: GREEDY, ignoreEos: true }).received,
    );
    for (let step = 0; step < 15; step++) bench.engine.step();
    expect(Math.min(...received.map(({ tokens }) => tokens.length))).toBeGreaterThan(3);
    bench.run();
    expect(received.map(({ result }) => result?.tokens)).toEqual([8, 8, 8, 8, 8]);
  });
});

describe('a request that cannot be served is refused at once', () => {
  const bench = new Bench(model, { maxQueued: 1 });

  it.each([
    ['an empty prompt', { prompt: [] }, /LLM_PROMPT_EMPTY/],
    [
      'a prompt longer than the context',
      { prompt: new Array<number>(513).fill(5) },
      /LLM_PROMPT_TOO_LONG.*513.*512/,
    ],
    ['a token outside of the vocabulary', { prompt: [2304] }, /LLM_TOKEN_RANGE/],
    ['maxTokens of 0', { prompt: [1], maxTokens: 0 }, /LLM_REQUEST_INVALID/],
    ['an impossible temperature', { prompt: [1], sampling: { temperature: -1 } }, /LLM_SAMPLING_PARAMETER/],
  ])('%s', (_, request, message) => {
    expect(() => bench.submit(request)).toThrow(message);
    expect(bench.engine.count).toBe(0);
  });

  it('one more than the queue holds', () => {
    bench.submit({ prompt: [1], maxTokens: 1 });
    expect(() => bench.submit({ prompt: [1] })).toThrow(/LLM_OVERLOADED/);
    bench.run();
  });
});

describe('a fault of the device in a step', () => {
  const faulty = (count: number) => {
    const board = openMockBoard(loadBoardDescription('pynq-z1'));
    const onBoard = loadModel(openGguf(fileSource(TINY_STORIES)), { accelerator: new Accelerator(board) });
    const metrics = new EngineMetrics();
    const bench = new Bench(onBoard, { metrics });
    const request = { prompt: ONCE, maxTokens: 6, sampling: { seed: 3 } };
    const { received } = bench.submit(request);
    while (received.tokens.length < 3) bench.engine.step();
    board.injectFault({ name: 'dma-decode-error', count });
    bench.run();
    const next = bench.submit(request).received;
    bench.run();
    return { received, next, metrics };
  };

  it('is got over: the step is tried again and the tokens are those of a device without faults', () => {
    const { received, next, metrics } = faulty(1);
    expect(received.result).toMatchObject({ reason: 'max-tokens', tokens: 6 });
    expect(received.tokens).toEqual(next.tokens);
    expect(metrics).toMatchObject({ faults: 1, recovered: 1 });
  });

  it('twice ends the generation with what it had, and the next request is served', () => {
    const { received, next, metrics } = faulty(2);
    expect(received.result).toBeUndefined();
    expect(received.error).toMatchObject({
      code: expect.stringMatching(/^DRIVER_/),
      context: { tokens: 3, text: textOf(received) },
    });
    expect(next.result?.reason).toBe('max-tokens');
    expect(next.tokens.slice(0, 3)).toEqual(received.tokens);
    expect(metrics).toMatchObject({ faults: 1, recovered: 0 });
    expect(metrics.classes.interactive).toMatchObject({ finished: 1, failed: 1 });
  });
});

it('a sequence takes over the cache of one that ended, and gives what it gives in a new one', () => {
  const bench = new Bench(model);
  const first = bench.submit({ prompt: ONCE, maxTokens: 6, sampling: GREEDY }).received;
  bench.run();
  const second = bench.submit({ prompt: ONCE, maxTokens: 6, sampling: GREEDY }).received;
  bench.run();
  expect(second.tokens).toEqual(first.tokens);
});

it('times are told: waiting, prompt, tokens', () => {
  let clock = 0;
  const bench = new Bench(model, { now: () => (clock += 10) });
  const { received } = bench.submit({ prompt: ONCE, maxTokens: 4 });
  bench.run();
  const { timing } = received.result!;
  expect(timing).toMatchObject({ promptTokens: ONCE.length, generatedTokens: 4 });
  expect(timing.queuedMs).toBeGreaterThan(0);
  expect(timing.prefillMs).toBeGreaterThan(0);
  expect(timing.decodeMs).toBeGreaterThan(timing.prefillMs);
});

describe('more requests than are kept waiting', () => {
  const request = { prompt: ONCE, maxTokens: 2, sampling: GREEDY };

  it('cost the one with the least claim its place: batch work gives way to an interactive request', () => {
    const metrics = new EngineMetrics();
    const bench = new Bench(model, { maxSequences: 1, maxQueued: 1, metrics });
    bench.submit(request);
    bench.engine.step();
    const batch = bench.submit(request, { class: 'batch' }).received;
    const interactive = bench.submit(request).received;
    expect(batch.error).toMatchObject({ code: 'LLM_OVERLOADED', context: { retryAfterMs: 2_000 } });
    expect(() => bench.submit(request, { class: 'batch' })).toThrow(/LLM_OVERLOADED/);
    bench.run();
    expect(interactive.result?.reason).toBe('max-tokens');
    expect(metrics.classes.batch.refused).toBe(2);
  });
});

it('after a busy spell as many requests are taken at once as there are places, however slow the board', () => {
  let clock = 0;
  const bench = new Bench(tinyOfPages('f16', 200), { now: () => clock });
  const submit = (i: number) =>
    bench.submit({ prompt: [3, 4, 5], maxTokens: 20 + (i % 3) * 10, sampling: { seed: i }, ignoreEos: true });
  const run = (count: number) => {
    for (; bench.engine.count > count; clock += 10_000) bench.engine.step();
  };
  for (let i = 0; i < 24; i++) {
    run(9);
    submit(i);
  }
  run(0);
  clock += 3_600_000;
  for (let i = 0; i < 8; i++) submit(i);
  expect(bench.engine.count).toBe(8);
});

it('a request that is not done by its deadline ends with what it has', () => {
  let clock = 0;
  const bench = new Bench(model, { now: () => clock });
  const { received } = bench.submit({ prompt: ONCE, sampling: GREEDY }, { deadlineMs: 100 });
  while (received.tokens.length < 2) bench.engine.step();
  clock = 100;
  bench.engine.step();
  expect(received.error).toMatchObject({
    code: 'LLM_DEADLINE',
    context: { tokens: 2, text: textOf(received) },
  });
  expect(bench.engine.count).toBe(0);
});

it('a request that is likely to end too late is refused, by how long steps took', () => {
  let clock = 0;
  const bench = new Bench(model, { now: () => clock });
  const request = { prompt: ONCE, sampling: GREEDY, ignoreEos: true };
  const soon = { maxPredictedMs: 1_000 };
  // Nothing is known of this machine yet.
  const first = bench.submit({ ...request, maxTokens: 50 }, soon);
  for (let i = 0; i < 20; i++) {
    clock += 100;
    bench.engine.step();
  }
  const refused = () => bench.submit({ ...request, maxTokens: 30 }, soon);
  expect(refused).toThrow(/LLM_PREDICTED_LATE.* take [\d.]+ s/);
  expect(bench.engine.count).toBe(1);
  // About 100 ms for its prompt and each of its tokens, and as much for those of the other one beside them.
  const context = contextOf(refused);
  expect(context.aloneMs).toBeGreaterThan(2_500);
  expect(context.predictedMs).toBeGreaterThan(Number(context.aloneMs));
  expect(context.predictedMs).toBeLessThan(6_000);
  expect(
    bench.submit({ ...request, maxTokens: 3 }, { maxPredictedMs: 2_000 }).received.error,
  ).toBeUndefined();
  expect(() => bench.submit(request, { maxPredictedMs: 0 })).toThrow(/LLM_REQUEST_INVALID/);
  first.generation.cancel();
});

it('a deadline ends a request whose client reads nothing, although nobody else makes steps', () => {
  let clock = 0;
  const bench = new Bench(model, { now: () => clock });
  const { received } = bench.submit({ prompt: ONCE, sampling: GREEDY, credit: 2 }, { deadlineMs: 100 });
  bench.run();
  expect(received.tokens).toHaveLength(2);
  clock = 99;
  expect(bench.engine.hasWork).toBe(false);
  clock = 100;
  bench.run();
  expect(received.error).toMatchObject({ code: 'LLM_DEADLINE', context: { tokens: 2 } });
  expect(bench.engine.hasWork).toBe(false);
});

it.each([{ priority: 10 }, { priority: 1.5 }, { deadlineMs: 0 }])('%j is refused', (service) => {
  expect(() => new Bench(model).submit({ prompt: ONCE }, service)).toThrow(/LLM_REQUEST_INVALID/);
});
