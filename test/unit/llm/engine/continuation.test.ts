import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/description-file.js';
import type { ResponseFormat } from '../../../../constraint/index.js';
import { Accelerator } from '../../../../driver/accelerator.js';
import { fileSource, openGguf } from '../../../../gguf/index.js';
import { replay } from '../../../../llm/engine/generation-state.js';
import type { GenerateRequest } from '../../../../llm/engine/request.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import type { Model } from '../../../../llm/model/model.js';
import { Random } from '../../../../maths/index.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { Bench, deepened, GREEDY, type Received, TINY_STORIES, textOf, tinyOfPages } from '../models.js';
import { endOf, givesTheSameCut, run } from './random-cuts.js';

const TOKENS = 12;
const accelerator = new Accelerator(openMockBoard({ ...loadBoardDescription('kv260'), timing: 'systemc' }));
const gguf = openGguf(fileSource(TINY_STORIES));
const model = loadModel(gguf, { accelerator, contextLength: 128 });
const int8 = loadModel(gguf, { accelerator, contextLength: 128, kvType: 'int8' });
/** Worth drafting for by another model: what is drafted costs less than what it saves. */
const deep = loadModel(deepened(gguf, 8), { accelerator, contextLength: 100 });
const draftModel = loadModel(openGguf(fileSource('models/tiny-stories-Q2_K.gguf')), {
  accelerator,
  contextLength: 100,
});
const ONCE = model.tokenizer.encode('Once upon a time');
const REPETITIVE = model.tokenizer.encode('The cat sat on the mat. The dog sat on the mat. The');

const format = (schema: unknown): ResponseFormat => ({ type: 'json-schema', schema: JSON.stringify(schema) });

const idsOf = ({ tokens }: Received) => tokens.map(({ id }) => id);

/** Cuts a generation at every index, in turns with pages of the whole one in the pool and without. */
function expectSameAfterEveryCut(on: Model, request: GenerateRequest) {
  const whole = run(on, request);
  expect(whole.error).toBeUndefined();
  const ids = idsOf(whole);
  for (let cut = 0; cut < ids.length; cut++) {
    if (cut % 2 === 1) on.kvPool.clear();
    const rest = run(on, { ...request, continueFrom: ids.slice(0, cut) });
    expect(rest.error).toBeUndefined();
    expect(rest.tokens, `after ${cut}`).toEqual(whole.tokens.slice(cut));
    expect(endOf(rest)).toEqual(endOf(whole));
    expect(rest.result?.timing.replayedTokens).toBe(cut);
  }
  expect(() => run(on, { ...request, continueFrom: ids })).toThrow(/LLM_CONTINUE_ENDED/);
  return whole;
}

const PENALTIES = {
  repeatPenalty: 1.3,
  frequencyPenalty: 1.5,
  presencePenalty: 0.7,
  repeatLastN: 6,
  logitBias: [300, 301, 302].map((id) => [id, 25] as const),
};
const FORM = { type: 'object', properties: { name: { enum: ['Lily', 'Tim'] } }, required: ['name'] };

describe('a generation that goes on after its first tokens has the bits of one that was never cut', () => {
  it.each<[string, Model, GenerateRequest]>([
    ['greedy', model, { prompt: ONCE, sampling: { ...GREEDY, topLogprobs: 3 } }],
    ['sampled', model, { prompt: ONCE, sampling: { temperature: 1, seed: 7, topLogprobs: 2 } }],
    ['without log-probabilities', model, { prompt: ONCE, sampling: { seed: 8, logprobs: false } }],
    // Biased so that what was there lately decides which of three is next.
    ['with penalties', model, { prompt: ONCE, sampling: { ...GREEDY, ...PENALTIES } }],
    [
      'with penalties, sampled',
      model,
      { prompt: ONCE, sampling: { seed: 3, ...PENALTIES, repeatLastN: 20 } },
    ],
    ['with a logit bias', model, { prompt: ONCE, sampling: { seed: 4, logitBias: [[ONCE[1], 5]] } }],
    ['with prompt lookup', model, { prompt: REPETITIVE, sampling: GREEDY, promptLookup: true }],
    ['with prompt lookup, sampled', model, { prompt: REPETITIVE, sampling: { seed: 2 }, promptLookup: true }],
    ['with a draft model', deep, { prompt: ONCE, sampling: GREEDY, draftModel }],
    ['with keys and values in INT8', int8, { prompt: REPETITIVE.slice(0, 10), sampling: { seed: 6 } }],
    ['with INT8 and prompt lookup', int8, { prompt: REPETITIVE, sampling: GREEDY, promptLookup: true }],
  ])('%s', (_, on, request) => {
    const whole = expectSameAfterEveryCut(on, { ...request, maxTokens: TOKENS, ignoreEos: true });
    expect(whole.tokens).toHaveLength(TOKENS);
    if (request.sampling?.repeatPenalty) expect(new Set(idsOf(whole)).size).toBeLessThan(TOKENS);
    if (request.promptLookup || request.draftModel) expect(whole.steps).toBeLessThan(TOKENS);
  });

  it.each([GREEDY, { temperature: 1, seed: 3 }])('within a schema, %j', (sampling) => {
    const whole = expectSameAfterEveryCut(model, { prompt: ONCE, sampling, responseFormat: format(FORM) });
    expect(FORM.properties.name.enum).toContain(JSON.parse(textOf(whole)).name);
    expect(whole.result?.reason).toBe('end-of-text');
  });

  it('in the middle of characters of several bytes', () => {
    const responseFormat = format({ const: 'ö€🙂' });
    const whole = expectSameAfterEveryCut(model, { prompt: ONCE, sampling: GREEDY, responseFormat });
    expect(JSON.parse(textOf(whole))).toBe('ö€🙂');
    expect(whole.tokens.filter(({ text }) => text === '').length).toBeGreaterThan(3);
  });

  it('in the middle of what begins a stop string, and of one', () => {
    const request = { prompt: ONCE, sampling: GREEDY, maxTokens: TOKENS };
    const { tokens } = run(model, request);
    const text = tokens.map((token) => token.text).join('');
    const start = (index: number) =>
      tokens.slice(0, index).reduce((sum, token) => sum + token.text.length, 0);
    const begun = `${text.slice(start(3) + 1, start(6) + 1)}~`;
    const stop = text.slice(start(8) + 1, start(10) + 1);
    const whole = expectSameAfterEveryCut(model, { ...request, stop: [begun, stop] });
    expect(whole.result?.reason).toBe('stop');
    expect(whole.tokens).toHaveLength(11);
    expect(textOf(whole)).toBe(text.slice(0, text.indexOf(stop)));
    // It was held back over whole tokens, and given up.
    expect(whole.tokens[4].text).toBe('');
    expect(whole.tokens[6].text.length).toBeGreaterThan(tokens[6].text.length);
  });

  it('up to an end-of-text token, and past it', () => {
    const [end] = model.tokenizer.eosIds;
    const biased = (bias: number) => ({
      prompt: ONCE,
      sampling: { temperature: 1, seed: 1, logitBias: [[end, bias] as const] },
      maxTokens: TOKENS,
    });
    // The least one of these with which it ends within the twelve tokens.
    const biases = Array.from({ length: 40 }, (_, i) => 8 + i / 2);
    const bias = biases.find((one) => run(model, biased(one)).result?.reason === 'end-of-text') ?? 0;
    const whole = expectSameAfterEveryCut(model, biased(bias));
    expect(whole.result?.reason).toBe('end-of-text');
    const past = expectSameAfterEveryCut(model, { ...biased(bias), ignoreEos: true });
    expect(idsOf(past).slice(0, -1)).toContain(end);
  });

  it("in the middle of the model's own end", () => {
    const end = model.tokenizer.encode('<|end_story|>', { addSpecial: false });
    const last = end.at(-1) ?? 0;
    const sampling = { ...GREEDY, logitBias: [[last, 99] as const] };
    const { tokens, result } = run(model, { prompt: ONCE, sampling, continueFrom: end.slice(0, -1) });
    expect(tokens).toMatchObject([{ index: end.length - 1, id: last, text: '' }]);
    expect(result?.reason).toBe('end-of-text');
  });

  it('whichever way it drafts in each part', () => {
    const request = { prompt: REPETITIVE, sampling: { seed: 9 }, maxTokens: 2 * TOKENS, ignoreEos: true };
    const whole = run(deep, request);
    const pieces: Received['tokens'][number][] = [];
    for (const [i, ways] of [{}, { promptLookup: true }, { draftModel }, {}].entries()) {
      const bench = new Bench(deep);
      const continueFrom = pieces.map(({ id }) => id);
      const { received, generation } = bench.submit({
        ...request,
        ...ways,
        continueFrom,
        credit: 6 * (i + 1),
      });
      bench.run();
      generation.cancel();
      bench.engine.step();
      pieces.push(...received.tokens);
    }
    expect(pieces).toEqual(whole.tokens);
  });

  it('also where the part before was cancelled with text held back, which comes again', () => {
    const request = { prompt: ONCE, sampling: GREEDY, maxTokens: TOKENS };
    const { tokens } = run(model, request);
    const stop = [`${tokens[3].text}${tokens[4].text}~`];
    const bench = new Bench(model);
    const { received, generation } = bench.submit({ ...request, stop, credit: 4 });
    bench.run();
    generation.cancel();
    bench.engine.step();
    expect(received.result?.text).toBe(tokens[3].text);
    const rest = run(model, { ...request, stop, continueFrom: idsOf(received) });
    const texts = [...received.tokens, ...rest.tokens].map(({ text }) => text);
    expect(texts.join('')).toBe(textOf({ tokens }));
  });

  it('until the context is full', () => {
    const short = loadModel(gguf, { accelerator, contextLength: ONCE.length + TOKENS });
    const whole = expectSameAfterEveryCut(short, { prompt: ONCE, sampling: GREEDY, ignoreEos: true });
    expect(whole.result).toMatchObject({ reason: 'context-full', tokens: TOKENS + 1 });
  });

  it('for several answers side by side, each cut elsewhere', () => {
    const requests = [1, 2, 3, 4].map((seed) => ({ prompt: ONCE, sampling: { seed }, maxTokens: TOKENS }));
    const wholes = requests.map((request) => run(model, request));
    for (let cut = 0; cut < TOKENS; cut++) {
      const bench = new Bench(model);
      const cuts = requests.map((_, i) => (cut + 3 * i) % TOKENS);
      const rests = requests.map((request, i) => {
        const continueFrom = idsOf(wholes[i]).slice(0, cuts[i]);
        return bench.submit({ ...request, continueFrom }).received;
      });
      bench.run();
      for (const [i, rest] of rests.entries()) expect(rest.tokens).toEqual(wholes[i].tokens.slice(cuts[i]));
    }
  });

  it('where its own pages are taken from it in between', () => {
    const random = new Random(11);
    const pool = tinyOfPages('int8', 20);
    const alone = tinyOfPages('int8', 400);
    const requests = Array.from({ length: 8 }, (_, i) => ({
      prompt: Array.from({ length: 20 + i }, () => 3 + Math.floor(random.nextDouble() * 250)),
      maxTokens: 60,
      ignoreEos: true,
      sampling: { seed: i },
    }));
    const wholes = requests.map((request) => run(alone, request));
    const bench = new Bench(pool);
    const rests = requests.map((request, i) => {
      const continueFrom = idsOf(wholes[i]).slice(0, 7 * i);
      return bench.submit({ ...request, continueFrom }).received;
    });
    bench.run();
    expect(pool.kvPool.stats.preemptions).toBeGreaterThan(0);
    for (const [i, rest] of rests.entries()) expect(rest.tokens).toEqual(wholes[i].tokens.slice(7 * i));
  });
});

describe('the tokens to go on after', () => {
  it('are computed as a prompt is, from the pages that are there', () => {
    const request = { prompt: REPETITIVE, sampling: GREEDY, maxTokens: 40, ignoreEos: true };
    const ids = idsOf(run(model, request));
    const bench = new Bench(model);
    const { generation, received } = bench.submit({ ...request, continueFrom: ids.slice(0, 30) });
    const total = REPETITIVE.length + 30;
    const cached = total - (total % 16);
    expect(generation.prompt).toEqual({ total, cached, computed: cached });
    bench.run();
    const cachedTokens = Math.min(REPETITIVE.length, cached);
    expect(received.result?.timing).toMatchObject({ cachedTokens, replayedTokens: 30, generatedTokens: 40 });
    model.kvPool.clear();
    // Prompt and tokens together are columns of one step.
    expect(REPETITIVE.length + 39).toBeLessThanOrEqual(model.maxColumns);
    expect(run(model, { ...request, continueFrom: ids.slice(0, 39) }).steps).toBe(1);
  });

  it('count against the credit and the most tokens', () => {
    const request = { prompt: ONCE, sampling: GREEDY, maxTokens: 10, ignoreEos: true };
    const whole = run(model, request);
    const bench = new Bench(model);
    const continueFrom = idsOf(whole).slice(0, 4);
    const { received, generation } = bench.submit({ ...request, continueFrom, credit: 0 });
    expect(bench.engine.hasWork).toBe(false);
    generation.grant(4);
    expect(bench.engine.hasWork).toBe(false);
    generation.grant(6);
    bench.run();
    expect(received.tokens).toEqual(whole.tokens.slice(4, 6));
    generation.cancel();
    bench.engine.step();
    expect(received.result).toMatchObject({ reason: 'cancelled', tokens: 6 });
    expect(received.result?.timing).toMatchObject({ replayedTokens: 4, generatedTokens: 6 });
  });

  it('are taken in with a pause after each', () => {
    const request = { prompt: ONCE, sampling: GREEDY, maxTokens: 10, continueFrom: [5, 6, 7] };
    expect([...replay(model, request)]).toHaveLength(3);
  });

  it('are part of what an error says was generated', () => {
    const bench = new Bench(model, { now: () => now });
    let now = 0;
    const whole = run(model, { prompt: ONCE, sampling: GREEDY, maxTokens: 9 });
    const request = { prompt: ONCE, sampling: GREEDY, continueFrom: idsOf(whole).slice(0, 5) };
    const { received } = bench.submit(request, { deadlineMs: 10 });
    bench.engine.step();
    now = 11;
    bench.engine.step();
    const text = textOf({ tokens: whole.tokens.slice(0, 6) });
    expect(received.error).toMatchObject({ code: 'LLM_DEADLINE', context: { tokens: 6, text } });
  });
});

describe('what cannot be gone on after is refused', () => {
  const greedy = { prompt: ONCE, sampling: GREEDY };
  const ids = idsOf(run(model, { ...greedy, maxTokens: TOKENS }));

  it.each<[string, GenerateRequest, object]>([
    ['an id out of the vocabulary', { ...greedy, continueFrom: [1e6] }, { code: 'LLM_TOKEN_RANGE' }],
    ['half an id', { ...greedy, continueFrom: [1.5] }, { code: 'LLM_TOKEN_RANGE' }],
    ['a negative id', { ...greedy, continueFrom: [-1] }, { code: 'LLM_TOKEN_RANGE' }],
    [
      'as many tokens as there may be',
      { ...greedy, maxTokens: 3, continueFrom: ids.slice(0, 3) },
      { code: 'LLM_CONTINUE_ENDED', context: { reason: 'max-tokens', tokens: 3, given: 3 } },
    ],
    [
      'more of them',
      { ...greedy, maxTokens: 3, continueFrom: ids },
      { code: 'LLM_CONTINUE_ENDED', context: { reason: 'max-tokens', tokens: 3, given: TOKENS } },
    ],
    [
      'more than the context holds',
      { ...greedy, continueFrom: new Array<number>(1000).fill(ids[0]) },
      { code: 'LLM_CONTINUE_ENDED', context: { reason: 'context-full', tokens: 129 - ONCE.length } },
    ],
    [
      'an end',
      { ...greedy, continueFrom: [...ids.slice(0, 2), ...model.tokenizer.eosIds, ids[2]] },
      { code: 'LLM_CONTINUE_ENDED', context: { reason: 'end-of-text', tokens: 3 } },
    ],
    [
      'a stop string',
      { ...greedy, stop: [model.tokenizer.decode(ids.slice(2, 4))], continueFrom: ids },
      { code: 'LLM_CONTINUE_ENDED', context: { reason: 'stop', tokens: 4, given: TOKENS } },
    ],
    [
      "the model's own end, written as ordinary tokens",
      {
        ...greedy,
        continueFrom: [...ids, ...model.tokenizer.encode('<|end_story|>', { addSpecial: false })],
      },
      { code: 'LLM_CONTINUE_ENDED', context: { reason: 'end-of-text' } },
    ],
    [
      'what a schema forbids',
      { ...greedy, responseFormat: format(FORM), continueFrom: ids },
      { code: 'LLM_CONTINUE_FORBIDDEN', context: { index: 0, token: ids[0] } },
    ],
    [
      'an end where the schema has none',
      { ...greedy, responseFormat: format(FORM), continueFrom: [...model.tokenizer.eosIds].slice(0, 1) },
      { code: 'LLM_CONTINUE_FORBIDDEN', context: { index: 0 } },
    ],
    [
      'a control token within a schema',
      { ...greedy, responseFormat: format({ type: 'string' }), continueFrom: [model.tokenizer.bosId ?? 0] },
      { code: 'LLM_CONTINUE_FORBIDDEN', context: { index: 0 } },
    ],
    [
      'what the logit bias rules out',
      {
        prompt: ONCE,
        sampling: { logitBias: [[ids[1], Number.NEGATIVE_INFINITY]] },
        continueFrom: ids,
      },
      { code: 'LLM_CONTINUE_FORBIDDEN', context: { index: 1, token: ids[1] } },
    ],
    [
      'anything with beam search',
      { prompt: ONCE, beams: { width: 2 }, continueFrom: [ids[0]] },
      { code: 'LLM_REQUEST_INVALID' },
    ],
  ])('%s', (_, request, error) => {
    const bench = new Bench(model);
    let thrown: unknown;
    try {
      bench.submit(request);
    } catch (caught) {
      thrown = caught;
    }
    expect(thrown).toMatchObject(error);
    expect(bench.engine.count).toBe(0);
  });

  it('but beam search may begin again, with the same result', () => {
    const request = { prompt: ONCE, beams: { width: 3 }, maxTokens: TOKENS };
    const again = run(model, { ...request, continueFrom: [] });
    expect(again.result?.beams).toEqual(run(model, request).result?.beams);
  });
});

// test/long has more of them.
it('a request of any options, cut several times anywhere, gives what it gives uncut', () => {
  givesTheSameCut(model, 12);
});
