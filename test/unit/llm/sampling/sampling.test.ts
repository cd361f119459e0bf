import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Sampler, type SamplingOptions, topLogprobs } from '../../../../llm/sampling/index.js';

const code = (name: string) => expect.objectContaining({ code: name });
/** Nothing cut, nothing changed. */
const OPEN: SamplingOptions = { temperature: 1, topK: 0, topP: 1, minP: 0, repeatPenalty: 1 };

function draws(logits: readonly number[], options: SamplingOptions, count: number): number[] {
  const sampler = new Sampler(options, logits.length);
  const step = new Float32Array(logits);
  return Array.from({ length: count }, () => sampler.sample(step).id);
}

const distinct = (ids: readonly number[]) => [...new Set(ids)].sort((a, b) => a - b);
const logits = fc.array(fc.float({ min: -30, max: 30, noNaN: true }), { minLength: 1, maxLength: 300 });

describe('greedy sampling', () => {
  it('takes the likeliest token, the lowest id of equal ones', () => {
    expect(draws([1, 7, 3, 7], { temperature: 0 }, 2)).toEqual([1, 1]);
  });

  it('reports log-probabilities of the model, whatever bias and penalty do to the choice', () => {
    const sampler = new Sampler({ temperature: 0, logitBias: [[0, 10]], topLogprobs: 2 }, 3);
    const { id, logprob, top } = sampler.sample(new Float32Array([0, 1, 2]));
    const normaliser = Math.log(1 + Math.E + Math.E ** 2);
    expect(id).toBe(0);
    expect(logprob).toBeCloseTo(-normaliser, 12);
    expect(top.map((each) => each.id)).toEqual([2, 1]);
    expect(top[0].logprob).toBeCloseTo(2 - normaliser, 12);
  });

  it('chooses the same without log-probabilities, which are NaN then', () => {
    const step = new Float32Array([0, 3, 2, 1]);
    const sampler = new Sampler({ temperature: 0, logprobs: false }, 4);
    expect(sampler.sample(step)).toEqual({ id: 1, logprob: Number.NaN, top: [] });
    const withTop = new Sampler({ temperature: 0, logprobs: false, topLogprobs: 1 }, 4).sample(step);
    expect(withTop).toEqual(new Sampler({ temperature: 0, topLogprobs: 1 }, 4).sample(step));
  });

  it.each([
    [[1, Number.NaN, 2]],
    [[1, Number.POSITIVE_INFINITY, 2]],
    [[Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]],
  ])('refuses the logits %j with log-probabilities and without', (step) => {
    for (const logprobs of [true, false]) {
      const sampler = new Sampler({ temperature: 0, logprobs }, step.length);
      expect(() => sampler.sample(new Float32Array(step))).toThrow(code('LLM_NOT_FINITE'));
    }
  });
});

describe('sampling with a seed', () => {
  it('repeats itself for the same seed and not for another', () => {
    const flat = new Array<number>(100).fill(0);
    expect(draws(flat, { ...OPEN, seed: 5 }, 50)).toEqual(draws(flat, { ...OPEN, seed: 5 }, 50));
    expect(draws(flat, { ...OPEN, seed: 5 }, 50)).not.toEqual(draws(flat, { ...OPEN, seed: 6 }, 50));
  });

  it('draws the recorded tokens on this machine too', () => {
    const wavy = Array.from({ length: 50 }, (_, i) => ((i * 37) % 11) / 4);
    expect(draws(wavy, { seed: 42 }, 12)).toMatchInlineSnapshot(`
      [
        38,
        8,
        46,
        46,
        29,
        21,
        7,
        30,
        2,
        24,
        41,
        27,
      ]
    `);
  });

  it('draws as often as the probabilities say, at any temperature', () => {
    for (const temperature of [0.5, 1, 2]) {
      const ids = draws([0, 1, 2], { ...OPEN, temperature, seed: 1 }, 20_000);
      const weights = [0, 1, 2].map((logit) => Math.exp(logit / temperature));
      const total = weights.reduce((a, b) => a + b);
      for (const [id, weight] of weights.entries()) {
        expect(ids.filter((each) => each === id).length / 20_000).toBeCloseTo(weight / total, 1.7);
      }
    }
  });

  it('survives temperatures next to zero', () => {
    expect(draws([1, 3, 2], { ...OPEN, temperature: 1e-300 }, 3)).toEqual([1, 1, 1]);
  });
});

describe('cutting the distribution', () => {
  // Probabilities 0.5, 0.25, 0.15, 0.1.
  const steps = [0.5, 0.25, 0.15, 0.1].map(Math.log);

  it.each([
    ['top-k 2', { topK: 2 }, [0, 1]],
    ['top-k above the vocabulary', { topK: 9 }, [0, 1, 2, 3]],
    ['top-p 0.5, which the first token reaches', { topP: 0.4999 }, [0]],
    ['top-p just above what two tokens reach', { topP: 0.7501 }, [0, 1, 2]],
    ['top-p 0, which keeps one', { topP: 0 }, [0]],
    ['min-p 0.29', { minP: 0.29 }, [0, 1, 2]],
    ['min-p 1', { minP: 1 }, [0]],
    ['top-p among what top-k leaves', { topK: 2, topP: 0.66 }, [0]],
    ['the tightest of all three', { topK: 3, topP: 0.9, minP: 0.4 }, [0, 1]],
    ['nothing', {}, [0, 1, 2, 3]],
  ])('%s leaves the right tokens', (_, cut, expected) => {
    expect(distinct(draws(steps, { ...OPEN, ...cut, seed: 3 }, 300))).toEqual(expected);
  });

  it('keeps the same tokens as sorting everything would', () => {
    fc.assert(
      fc.property(logits, fc.nat(40), fc.double({ min: 0, max: 1, noNaN: true }), (values, topK, topP) => {
        const sorted = topLogprobs(new Float32Array(values), values.length).slice(0, topK || values.length);
        const total = sorted.reduce((sum, each) => sum + Math.exp(each.logprob), 0);
        let reached = 0;
        const kept = sorted.filter(({ logprob }) => {
          const isNeeded = reached < topP * total * (1 + 1e-9);
          reached += Math.exp(logprob);
          return isNeeded;
        });
        const allowed = new Set([sorted[0], ...kept].map((each) => each.id));
        for (const id of draws(values, { ...OPEN, topK, topP }, 20)) expect(allowed).toContain(id);
      }),
    );
  });

  it('finds the likeliest tokens as a full sort by value and id does', () => {
    const coarse = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(coarse, fc.nat(220), (values, count) => {
        const expected = values
          .map((value, id) => ({ value, id }))
          .sort((a, b) => b.value - a.value || a.id - b.id);
        expect(topLogprobs(new Float32Array(values), count).map((each) => each.id)).toEqual(
          expected.slice(0, count).map((each) => each.id),
        );
      }),
    );
  });
});

describe('bias and repetition penalty', () => {
  it('a bias of -Infinity rules a token out', () => {
    const ids = draws([5, 0, 0], { ...OPEN, logitBias: [[0, -Infinity]] }, 100);
    expect(distinct(ids)).toEqual([1, 2]);
  });

  it('ruling every token out ends in a typed error', () => {
    for (const temperature of [0, 1]) {
      const banned: SamplingOptions = {
        temperature,
        logitBias: [
          [0, -Infinity],
          [1, -Infinity],
        ],
      };
      expect(() => draws([0, 0], banned, 1)).toThrow(code('LLM_SAMPLING_NO_CANDIDATE'));
    }
  });

  it('the penalty divides positive logits and multiplies negative ones of tokens seen, prompt included', () => {
    const options: SamplingOptions = { temperature: 0, repeatPenalty: 2 };
    const positive = new Sampler(options, 2);
    positive.observe([0]);
    expect(positive.sample(new Float32Array([4, 3])).id).toBe(1);
    const negative = new Sampler(options, 2);
    negative.observe([0]);
    expect(negative.sample(new Float32Array([-2, -3])).id).toBe(1);
  });

  it('the penalty forgets tokens older than its window, and sampled ones count too', () => {
    expect(draws([4, 3], { temperature: 0, repeatPenalty: 2, repeatLastN: 1 }, 4)).toEqual([0, 1, 0, 1]);
    expect(draws([4, 3, 2.5], { temperature: 0, repeatPenalty: 2, repeatLastN: 2 }, 6)).toEqual([
      0, 1, 2, 0, 1, 2,
    ]);
    expect(draws([4, 3], { temperature: 0, repeatPenalty: 2, repeatLastN: 0 }, 3)).toEqual([0, 0, 0]);
    expect(draws([4, 3, 2.5], { temperature: 0, repeatPenalty: 2, repeatLastN: -1 }, 4)).toEqual([
      0, 1, 2, 0,
    ]);
  });

  it('the frequency penalty is taken for each time that a token was there, the presence penalty once', () => {
    const often = (options: SamplingOptions) => {
      const sampler = new Sampler({ temperature: 0, ...options }, 2);
      sampler.observe([0, 0, 0]);
      return sampler.sample(new Float32Array([4, 2])).id;
    };
    expect(often({ frequencyPenalty: 0.6 })).toBe(0);
    expect(often({ frequencyPenalty: 0.7 })).toBe(1);
    expect(often({ presencePenalty: 1.9 })).toBe(0);
    expect(often({ presencePenalty: 2.1 })).toBe(1);
    expect(often({ presencePenalty: 2.1, repeatLastN: 0 })).toBe(0);
  });
});

describe('input that cannot be sampled', () => {
  it.each([
    [{ temperature: -1 }],
    [{ temperature: Number.NaN }],
    [{ topK: 1.5 }],
    [{ frequencyPenalty: Number.POSITIVE_INFINITY }],
    [{ presencePenalty: -101 }],
    [{ topK: -1 }],
    [{ topP: 1.01 }],
    [{ minP: -0.1 }],
    [{ repeatPenalty: 0 }],
    [{ repeatLastN: -2 }],
    [{ seed: 2 ** 53 }],
    [{ topLogprobs: 4 }],
    [{ logitBias: [[3, 0]] }],
    [{ logitBias: [[0, Number.POSITIVE_INFINITY]] }],
  ] satisfies [SamplingOptions][])('the options %j are refused', (options) => {
    expect(() => new Sampler(options, 3)).toThrow(code('LLM_SAMPLING_PARAMETER'));
  });

  it.each([[[1, Number.NaN]], [[Number.POSITIVE_INFINITY, 0]]])('the logits %j are refused', (bad) => {
    expect(() => draws(bad, {}, 1)).toThrow(code('LLM_NOT_FINITE'));
  });
});
