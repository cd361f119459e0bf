import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/description-file.js';
import { Accelerator } from '../../../../driver/accelerator.js';
import { GgmlType } from '../../../../gguf/index.js';
import type { GenerateRequest } from '../../../../llm/engine/request.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { EngineMetrics } from '../../../../llm/scheduling/index.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { Bench, syntheticGguf } from '../models.js';

const board = openMockBoard({ ...loadBoardDescription('kv260'), timing: 'systemc' });
const accelerator = new Accelerator(board);
const gguf = syntheticGguf(() => GgmlType.Q3_K, {
  layers: 1,
  feedForward: 256,
  vocabulary: 300,
  contextLength: 256,
});
/** Ten pages and five tokens. */
const PROMPT = Array.from({ length: 165 }, (_, i) => 3 + ((31 * i) % 290));
const TAIL = 5;
const TOKENS = 6;

/** An answer; the seed makes it another one. */
const answer = (seed: number): GenerateRequest => ({
  prompt: PROMPT,
  maxTokens: TOKENS,
  ignoreEos: true,
  sampling: { temperature: 1, seed },
});

/** Answers that come at once, on a model of their own; `upset` happens after two steps. */
function together(
  kvType: 'f16' | 'int8',
  count: number,
  upset: (answers: ReturnType<Bench['submit']>[], bench: Bench) => void = () => undefined,
  kvBytes?: number,
) {
  const metrics = new EngineMetrics();
  const model = loadModel(gguf, { accelerator, kvType, ...(kvBytes && { kvBytes }) });
  const bench = new Bench(model, { metrics });
  const answers = Array.from({ length: count }, (_, seed) => bench.submit(answer(seed), { class: 'batch' }));
  const steps: number[] = [];
  for (let step = 1; bench.engine.hasWork; step++) {
    bench.engine.step();
    if (step === 2) upset(answers, bench);
    for (const [i, { received }] of answers.entries()) if (received.tokens.length > 0) steps[i] ??= step;
  }
  expect(model.kvPool.stats.used).toBe(0);
  return { received: answers.map(({ received }) => received), columns: metrics.columns, steps, metrics };
}

function alone(kvType: 'f16' | 'int8', seed: number) {
  const bench = new Bench(loadModel(gguf, { accelerator, kvType }));
  const { received } = bench.submit(answer(seed));
  bench.run();
  return received.tokens;
}

describe.each(['f16', 'int8'] as const)('answers to one prompt that come at once, as %s', (kvType) => {
  const expected = Array.from({ length: 4 }, (_, seed) => alone(kvType, seed));
  const tokensOf = (received: ReturnType<typeof together>['received']) =>
    received.map(({ tokens }) => tokens);

  it('compute its pages once, do not slow the first, and get the tokens that each gets alone', () => {
    const { received, columns, steps } = together(kvType, 4);
    expect(columns).toBe(PROMPT.length + 3 * TAIL + 4 * (TOKENS - 1));
    expect(tokensOf(received)).toEqual(expected);
    expect(steps[0]).toBe(together(kvType, 1).steps[0]);
    expect(Math.max(...steps)).toBe(steps[0] + 1);
  });

  it('go on where the first was left when its client cancels', () => {
    const { received, columns } = together(kvType, 4, ([first]) => first.generation.cancel());
    expect(received[0].result?.reason).toBe('cancelled');
    expect(tokensOf(received).slice(1)).toEqual(expected.slice(1));
    expect(columns).toBeLessThanOrEqual(PROMPT.length + 2 * TAIL + 3 * (TOKENS - 1));
  });

  it('go on where the first was left when the device fails', () => {
    const { received } = together(kvType, 4, () => board.injectFault({ name: 'dma-decode-error', count: 2 }));
    expect(received[0].error).toMatchObject({ code: expect.stringMatching(/^DRIVER_/) });
    expect(tokensOf(received).slice(1)).toEqual(expected.slice(1));
  });

  it('go on when the first has to make room, and it does too', () => {
    // 16 pages: the request that comes takes 12 of them.
    const bytes = 16 * (kvType === 'f16' ? 2 * (2 * 16 * 64) : 3 * (2 * 16 * 64 + 64));
    const upset = (_: unknown, bench: Bench) => {
      const prompt = Array.from({ length: 180 }, (_, i) => 5 + ((7 * i) % 200));
      bench.submit({ ...answer(9), prompt });
    };
    const { received, metrics } = together(kvType, 4, upset, bytes);
    expect(metrics.classes.batch.preempted).toBeGreaterThan(0);
    expect(tokensOf(received)).toEqual(expected);
  });
});

it('who comes later waits for a page that is just computed, and no longer', () => {
  const metrics = new EngineMetrics();
  const bench = new Bench(loadModel(gguf, { accelerator }), { metrics });
  bench.submit(answer(0));
  bench.engine.step();
  // The first 48 tokens are there and the next 32 the same; then it goes on by itself.
  const other = [...PROMPT.slice(0, 80), ...PROMPT.slice(0, 70)];
  const { received } = bench.submit({ ...answer(1), prompt: other });
  bench.run();
  expect(received.result?.tokens).toBe(TOKENS);
  expect(metrics.columns).toBe(PROMPT.length + 70 + 2 * (TOKENS - 1));
});
