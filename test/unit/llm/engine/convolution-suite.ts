import { expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/description-file.js';
import { Accelerator } from '../../../../driver/accelerator.js';
import { GgmlType } from '../../../../gguf/index.js';
import type { GenerateRequest, TokenOutput } from '../../../../llm/engine/request.js';
import type { Scores } from '../../../../llm/engine/score-sequence.js';
import type { KvPin } from '../../../../llm/kv/pool.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import type { Model } from '../../../../llm/model/model.js';
import { EngineMetrics } from '../../../../llm/scheduling/index.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { type ConvolvingModel, convolvingGguf } from '../convolving.js';
import { Bench, GREEDY } from '../models.js';

const board = openMockBoard({ ...loadBoardDescription('kv260'), timing: 'systemc' });
const accelerator = new Accelerator(board);

const WIDE: Partial<ConvolvingModel> = {
  convolves: [true, false, true],
  embedding: 256,
  heads: 8,
  kvHeads: 2,
  feedForward: 256,
  vocabulary: 300,
  contextLength: 160,
  type: GgmlType.Q3_K,
};
/** Deeper, and what it computes is what its first three layers compute. */
const DEEP = convolvingGguf({
  ...WIDE,
  convolves: [true, false, true, true, false, true, true, true],
  idleFrom: 3,
});

const PROMPT = Array.from({ length: 37 }, (_, i) => 3 + ((31 * i) % 290));
/** What follows a token followed it before. */
const REPETITIVE = Array.from({ length: 45 }, (_, i) => 3 + ((i * 7) % 11));

function run(model: Model, request: GenerateRequest): { tokens: TokenOutput[]; speculated: number } {
  const bench = new Bench(model);
  const { received } = bench.submit(request);
  let speculated = 0;
  while (bench.engine.hasWork) {
    const before = received.tokens.length;
    bench.engine.step();
    speculated += Math.max(0, received.tokens.length - before - 1);
  }
  expect(received.error).toBeUndefined();
  return { tokens: received.tokens, speculated };
}

/** What an engine does with a model that convolves, by how it keeps keys and values. */
export function convolutionSuite(kvType: 'f16' | 'int8'): void {
  /** What the model gives without drafts, by the request: once for all ways to draft. */
  const plain = new Map<string, TokenOutput[]>();
  const tokensWithout = (request: GenerateRequest) => {
    const key = JSON.stringify(request);
    const tokens = plain.get(key) ?? run(model, request).tokens;
    plain.set(key, tokens);
    return tokens;
  };
  const model = loadModel(DEEP, { accelerator, kvType });
  const right = loadModel(convolvingGguf(WIDE), { accelerator, kvType });
  const wrong = loadModel(convolvingGguf({ ...WIDE, seed: 9 }), { accelerator, kvType });
  /** Few tokens to choose from, so that drafts are right now and then. */
  const few = [3, 10, 17].map((token) => [token, 50] as const);

  it.each<[string, Partial<GenerateRequest>, number]>([
    ['prompt lookup', { promptLookup: true }, 5],
    ['a draft model that is always right', { draftModel: right }, 20],
    ['a draft model that is mostly wrong', { draftModel: wrong }, 0],
  ])('generates with %s what it generates without', (_, speculation, least) => {
    let speculated = 0;
    for (const prompt of [PROMPT, REPETITIVE])
      for (const sampling of [
        GREEDY,
        { ...GREEDY, logitBias: few },
        { temperature: 1, seed: 3, logitBias: few },
      ]) {
        const request = { prompt, maxTokens: 50, ignoreEos: true, sampling };
        const drafted = run(model, { ...request, ...speculation });
        expect(drafted.tokens).toEqual(tokensWithout(request));
        speculated += drafted.speculated;
      }
    expect(speculated).toBeGreaterThanOrEqual(least);
    for (const { kvPool } of [model, right, wrong]) expect(kvPool.stats.used).toBe(0);
  });

  it('drafts beside others, on pages that it shares with them, through failures of the device', () => {
    const requests = [1, 2, 3, 4].map((seed) => ({
      prompt: REPETITIVE,
      maxTokens: 40,
      ignoreEos: true,
      sampling: { temperature: 1, seed, logitBias: few },
    }));
    const alone = requests.map((request) => run(model, request).tokens);
    model.kvPool.clear();
    const metrics = new EngineMetrics();
    const bench = new Bench(model, { metrics });
    const { hits } = model.kvPool.stats;
    const received = requests.map(
      (request, i) => bench.submit({ ...request, promptLookup: i % 2 === 0 }).received,
    );
    for (let step = 0; bench.engine.hasWork; step++) {
      if (step % 5 === 2) board.injectFault({ name: 'dma-decode-error', after: step % 3 });
      bench.engine.step();
    }
    expect(received.map(({ tokens }) => tokens)).toEqual(alone);
    expect(metrics.recovered).toBeGreaterThan(3);
    expect(model.kvPool.stats.hits).toBeGreaterThan(hits);
  });

  it('continues from a pinned prompt as if it had computed it', () => {
    const request = { prompt: PROMPT, maxTokens: 12, ignoreEos: true, sampling: GREEDY };
    model.kvPool.clear();
    const expected = run(model, request).tokens;
    model.kvPool.clear();
    const bench = new Bench(model);
    let pin: KvPin | undefined;
    const sink = {
      onDone: (made: KvPin) => {
        pin = made;
      },
      onCancelled: () => undefined,
      onError: (error: Error) => {
        throw error;
      },
    };
    bench.engine.pin(PROMPT, sink);
    bench.run();
    expect(pin?.tokens).toBe(32);
    const { hits } = model.kvPool.stats;
    expect(run(model, request).tokens).toEqual(expected);
    expect(model.kvPool.stats.hits).toBe(hits + 2);
    pin?.release();
  });

  it.each([13, 16, 37])(
    'searches beams after %i tokens that are as likely as they are when fed alone',
    (length) => {
      const bench = new Bench(model);
      const prompt = PROMPT.slice(0, length);
      const { received } = bench.submit({ prompt, maxTokens: 8, ignoreEos: true, beams: { width: 4 } });
      bench.run();
      const beams = received.result?.beams ?? [];
      expect(beams).toHaveLength(4);
      for (const { tokens, logprob } of beams) {
        model.kvPool.clear();
        let scores: Scores | undefined;
        const scoring = new Bench(model);
        scoring.engine.score(
          [...prompt, ...tokens],
          { topLogprobs: 0, from: prompt.length },
          {
            onDone: (result) => {
              scores = result;
            },
            onCancelled: () => undefined,
            onError: (error) => {
              throw error;
            },
          },
        );
        scoring.run();
        const sum = scores!.logprobs.reduce<number>((total, one) => total + (one ?? 0), 0);
        expect(logprob).toBeCloseTo(sum, 6);
      }
      expect(model.kvPool.stats.used).toBe(0);
    },
  );
}
