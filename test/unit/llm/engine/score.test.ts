import { beforeEach, describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/description-file.js';
import { Accelerator } from '../../../../driver/accelerator.js';
import { GgmlType } from '../../../../gguf/index.js';
import type { ScoreOptions, Scores } from '../../../../llm/engine/score-sequence.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { topLogprobs } from '../../../../llm/sampling/index.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { Bench, GREEDY, logitsOf, syntheticGguf } from '../models.js';

const CONTEXT = 256;
const board = openMockBoard({ ...loadBoardDescription('kv260'), timing: 'systemc' });
const accelerator = new Accelerator(board);
const gguf = syntheticGguf(() => GgmlType.Q3_K, {
  layers: 1,
  vocabulary: 300,
  contextLength: CONTEXT,
  feedForward: 256,
});
/** There is room for one sequence of the whole context. */
const model = loadModel(gguf, { accelerator, kvBytes: (CONTEXT / 16 + 1) * 2 * 16 * 64 * 2 });
const TOKENS = Array.from({ length: 200 }, (_, i) => 3 + ((i * 17) % 290));

interface Outcome {
  scores?: Scores;
  cancelled?: true;
  error?: Error;
}

function begin(bench: Bench, tokens: readonly number[], options: Partial<ScoreOptions> = {}) {
  const outcome: Outcome = {};
  const scoring = bench.engine.score(
    tokens,
    { topLogprobs: 2, from: 0, ...options },
    {
      onDone: (scores) => {
        outcome.scores = scores;
      },
      onCancelled: () => {
        outcome.cancelled = true;
      },
      onError: (error) => {
        outcome.error = error;
      },
    },
    { class: 'batch' },
  );
  return { outcome, scoring };
}

/** What the logits of a plain run of the model say. */
function expected(tokens: readonly number[], from = 0): Scores {
  const logits = logitsOf(model, tokens, false);
  const all = logits.map((one) => topLogprobs(one, 300));
  const logprobs = tokens.map((token, i) =>
    i === 0 ? null : all[i - 1].find(({ id }) => id === token)!.logprob,
  );
  return { logprobs: logprobs.slice(from), top: all.slice(from).map((one) => one.slice(0, 2)) };
}

beforeEach(() => {
  model.kvPool.clear();
});

describe('scores', () => {
  it.each([0, 1, 37, 199])('from position %i on are those of the model, to the bit', (from) => {
    const bench = new Bench(model);
    const { outcome } = begin(bench, TOKENS, { from });
    bench.run();
    expect(outcome.scores).toEqual(expected(TOKENS, from));
    expect(model.kvPool.stats.used).toBe(0);
  });

  it('are the same where the pool has pages of the tokens already, and use those that need no logits', () => {
    const bench = new Bench(model);
    bench.submit({ prompt: TOKENS.slice(0, 100), maxTokens: 1 });
    bench.run();
    const { hits } = model.kvPool.stats;
    const { outcome } = begin(bench, TOKENS, { from: 90 });
    bench.run();
    expect(outcome.scores).toEqual(expected(TOKENS, 90));
    // Tokens 0 to 79: the page that follows has the first position that is scored.
    expect(model.kvPool.stats.hits - hits).toBe(5);
  });

  it('beside a generation that needs their memory wait, and both are right', () => {
    const request = {
      prompt: TOKENS.slice(0, 180).reverse(),
      maxTokens: 20,
      ignoreEos: true,
      sampling: GREEDY,
    };
    const alone = new Bench(model);
    const undisturbed = alone.submit(request).received;
    alone.run();
    model.kvPool.clear();
    const bench = new Bench(model);
    const { outcome } = begin(bench, TOKENS);
    for (let step = 0; step < 6; step++) bench.engine.step();
    const { preemptions } = model.kvPool.stats;
    const { received } = bench.submit(request);
    bench.run();
    expect(received.error).toBeUndefined();
    expect(received.tokens).toEqual(undisturbed.tokens);
    expect(outcome.scores).toEqual(expected(TOKENS));
    expect(model.kvPool.stats.preemptions).toBeGreaterThan(preemptions);
  });

  it.each([1, 2])('of a device that fails %d times in a step', (count) => {
    const bench = new Bench(model);
    const { outcome } = begin(bench, TOKENS);
    bench.engine.step();
    board.injectFault({ name: 'dma-decode-error', count });
    bench.run();
    if (count === 1) expect(outcome.scores).toEqual(expected(TOKENS));
    else expect(outcome.error).toMatchObject({ code: 'DRIVER_DMA_DECODE_ERROR' });
    expect(model.kvPool.stats.used).toBe(0);
  });

  it('are cancelled before the next step', () => {
    const bench = new Bench(model);
    const { outcome, scoring } = begin(bench, TOKENS);
    bench.engine.step();
    expect([scoring.done, scoring.total]).toEqual([16, 200]);
    scoring.cancel();
    bench.engine.step();
    expect(outcome).toEqual({ cancelled: true });
    expect(bench.engine.count).toBe(0);
    expect(model.kvPool.stats.used).toBe(0);
  });

  it('of more tokens than there is room for, and of none, are refused', () => {
    const bench = new Bench(model);
    expect(() => begin(bench, Array<number>(CONTEXT + 1).fill(3))).toThrow(/LLM_PROMPT_TOO_LONG/);
    expect(() => begin(bench, [])).toThrow(/LLM_PROMPT_EMPTY/);
    expect(() => begin(bench, [3, 300])).toThrow(/LLM_TOKEN_RANGE/);
  });
});
