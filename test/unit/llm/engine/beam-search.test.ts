import { describe, expect, it } from 'vitest';
import { GgmlType } from '../../../../gguf/index.js';
import { Hypotheses } from '../../../../llm/engine/hypotheses.js';
import type { GenerateRequest } from '../../../../llm/engine/request.js';
import { KvLayout } from '../../../../llm/kv/layout.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { EngineMetrics } from '../../../../llm/scheduling/index.js';
import { logSoftmax } from '../../../../maths/index.js';
import { Bench, GREEDY, logitsOf, syntheticGguf } from '../models.js';

const model = loadModel(syntheticGguf(() => GgmlType.F32, { vocabulary: 300 }));
const PROMPT = [1, 7, 42];

function search(request: Partial<GenerateRequest> & Pick<GenerateRequest, 'beams'>) {
  const bench = new Bench(model);
  const { received } = bench.submit({ prompt: PROMPT, maxTokens: 5, ignoreEos: true, ...request });
  bench.run();
  expect(received.tokens).toEqual([]);
  return received.result!;
}

/** Beam search as its definition says it, every sequence computed from its beginning. */
function reference(width: number, length: number): { tokens: number[]; logprob: number }[] {
  let beams = [{ tokens: [] as number[], logprob: 0 }];
  for (let round = 0; round < length; round++) {
    const candidates = beams.flatMap(({ tokens, logprob }) =>
      [...logSoftmax(logitsOf(model, [...PROMPT, ...tokens]).at(-1)!, new Float64Array(300))].map(
        (one, token) => ({
          tokens: [...tokens, token],
          logprob: logprob + one,
        }),
      ),
    );
    beams = candidates.sort((a, b) => b.logprob - a.logprob).slice(0, width);
  }
  return beams;
}

describe('beam search', () => {
  it.each([1, 2, 4, 8])('with %i beams finds what its definition finds', (width) => {
    const { beams, reason, tokens } = search({ beams: { width, lengthPenalty: 0 } });
    const expected = reference(width, 5);
    expect(beams!.map((one) => one.tokens)).toEqual(expected.map((one) => one.tokens));
    for (const [i, { logprob }] of expected.entries()) expect(beams![i]!.logprob).toBeCloseTo(logprob, 9);
    expect([reason, tokens]).toEqual(['max-tokens', 5]);
  });

  it('with one beam is greedy decoding', () => {
    const bench = new Bench(model);
    const { received } = bench.submit({ prompt: PROMPT, maxTokens: 12, sampling: GREEDY, ignoreEos: true });
    bench.run();
    const { beams } = search({ beams: { width: 1 }, maxTokens: 12 });
    expect(beams![0]!.tokens).toEqual(received.tokens.map(({ id }) => id));
  });

  it('is the same beside other sequences, and leaves them as they are', () => {
    const alone = search({ beams: { width: 4 }, maxTokens: 8 });
    const request = { prompt: [1, 9], maxTokens: 20, sampling: { seed: 3 }, ignoreEos: true };
    const plain = new Bench(model);
    const expected = plain.submit(request).received;
    plain.run();
    const bench = new Bench(model, { maxSequences: 4 });
    const beside = bench.submit(request).received;
    const { received } = bench.submit({ prompt: PROMPT, maxTokens: 8, ignoreEos: true, beams: { width: 4 } });
    bench.run();
    expect(received.result!.beams).toEqual(alone.beams);
    expect(beside.tokens).toEqual(expected.tokens);
  });

  it('begins again from what it knows when it had to make room', () => {
    const expected = search({ beams: { width: 3 }, maxTokens: 10 });
    const metrics = new EngineMetrics();
    const bench = new Bench(model, { maxHeld: 1, maxSequences: 1, metrics });
    const { received } = bench.submit(
      { prompt: PROMPT, maxTokens: 10, ignoreEos: true, beams: { width: 3 } },
      { class: 'batch' },
    );
    for (let i = 0; i < 4; i++) bench.engine.step();
    bench.submit({ prompt: [1, 2], maxTokens: 3, sampling: GREEDY }, { priority: 9 });
    bench.run();
    expect(metrics.classes.batch.preempted).toBe(1);
    expect(received.result!.beams).toEqual(expected.beams);
  });

  it('gives back all its pages, also when it is cancelled', () => {
    const { kvPool } = model;
    const bench = new Bench(model);
    const { received, generation } = bench.submit({ prompt: PROMPT, ignoreEos: true, beams: { width: 8 } });
    for (let i = 0; i < 20; i++) bench.engine.step();
    generation.cancel();
    bench.run();
    expect(received.result).toMatchObject({ reason: 'cancelled', beams: [] });
    expect(kvPool.stats.used).toBe(0);
  });

  describe.each([
    ['f16', 2],
    ['int8', 1],
  ] as const)('with keys and values as %s', (kvType, pageFrames) => {
    const gguf = syntheticGguf(() => GgmlType.F32, { layers: 1, vocabulary: 300, contextLength: 128 });
    const { frameBytes } = new KvLayout({ layers: 1, heads: 8, kvHeads: 2, headDim: 32 }, kvType);
    const pool = (pages: number) =>
      new Bench(loadModel(gguf, { kvType, kvBytes: pages * pageFrames * frameBytes }));
    const searchIn = (bench: Bench, length: number, width: number, maxTokens?: number) =>
      bench.submit({
        prompt: Array.from({ length }, (_, i) => 3 + ((31 * i) % 290)),
        maxTokens,
        ignoreEos: true,
        beams: { width },
      }).received;

    it.each([
      [100, 8, 24, { f16: 22, int8: 30 }],
      [15, 8, 3, { f16: 16, int8: 24 }],
      [32, 3, 20, { f16: 8, int8: 11 }],
      [40, 8, 1, { f16: 3, int8: 4 }],
    ])(
      'after %i tokens, %i beams of %i more have all pages that they need, and are refused with one less',
      (length, width, maxTokens, least) => {
        const pages = least[kvType];
        expect(() => searchIn(pool(pages - 1), length, width, maxTokens)).toThrow(/LLM_KV_TOO_LONG/);
        const [tight, ample] = [pool(pages), pool(1_000)];
        const received = [tight, ample].map((bench) => searchIn(bench, length, width, maxTokens));
        tight.run();
        ample.run();
        expect(received[0]!.error).toBeUndefined();
        expect(received[0]!.result!.beams).toEqual(received[1]!.result!.beams);
      },
    );

    it('goes on after it had to make room, also where there is none to spare', () => {
      const tight = pool(kvType === 'f16' ? 4 : 7);
      const received = [tight, pool(1_000)].map((bench) => {
        const prompt = Array.from({ length: 16 }, (_, i) => 3 + i);
        const request = { prompt, maxTokens: 6, ignoreEos: true, beams: { width: 3 } };
        const search = bench.submit(request, { class: 'batch' });
        for (let step = 0; step < 3; step++) bench.engine.step();
        const length = kvType === 'f16' ? 40 : 70;
        bench.submit({ prompt: Array.from({ length }, (_, i) => 100 + i), maxTokens: 12, ignoreEos: true });
        bench.run();
        return search.received;
      });
      expect(tight.model.kvPool.stats.preemptions).toBe(1);
      expect(received[0]!.error).toBeUndefined();
      expect(received[0]!.result!.beams).toEqual(received[1]!.result!.beams);
    });

    it('ends where the pages do if no number of tokens is given', () => {
      const bench = pool(24);
      const received = searchIn(bench, 10, 4);
      bench.run();
      expect(received.result).toMatchObject({ reason: 'context-full' });
    });
  });

  it.each<[string, Partial<GenerateRequest>]>([
    ['no beam', { beams: { width: 0 } }],
    ['more beams than 8', { beams: { width: 9 } }],
    ['a length penalty that is no number', { beams: { width: 2, lengthPenalty: Number.NaN } }],
    ['stop strings', { beams: { width: 2 }, stop: ['x'] }],
    ['drafts', { beams: { width: 2 }, promptLookup: true }],
  ])('refuses %s', (_, request) => {
    expect(() => new Bench(model).submit({ prompt: PROMPT, ...request })).toThrow(/LLM_REQUEST_INVALID/);
  });
});

describe('the hypotheses of beam search', () => {
  it('are ranked by log-probability over length to the power of the penalty', () => {
    const rank = (penalty: number) => {
      const hypotheses = new Hypotheses(2, penalty);
      hypotheses.add([1], -1.5, 'end-of-text');
      hypotheses.add([1, 2, 3, 4], -4, 'end-of-text');
      hypotheses.add([9], -9, 'end-of-text');
      return hypotheses.best.map(({ tokens }) => tokens.length);
    };
    expect(rank(0)).toEqual([1, 4]);
    expect(rank(1)).toEqual([4, 1]);
  });

  it('are complete when the best that goes on cannot reach them any more', () => {
    const hypotheses = new Hypotheses(1, 1);
    expect(hypotheses.isComplete(-9, 3, 10)).toBe(false);
    hypotheses.add([1, 2], -2, 'end-of-text');
    expect(hypotheses.isComplete(-9, 3, 10)).toBe(false);
    expect(hypotheses.isComplete(-11, 3, 10)).toBe(true);
  });
});
