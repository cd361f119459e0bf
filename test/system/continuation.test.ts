import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_PROMPT_TOKENS } from '../../protocol/index.js';
import {
  type BoardClient,
  connect,
  type DoneEvent,
  type GenerateOptions,
  type Generation,
  type LoadSettings,
  type Model,
  type Token,
} from '../../sdk/index.js';

const TOKENS = 12;
const PROMPT = 'Once upon a time';
const REPETITIVE = 'The cat sat on the mat. The dog sat on the mat. The';
const GREEDY: GenerateOptions = { maxTokens: TOKENS, temperature: 0, ignoreEos: true };

let board: BoardClient;
let model: Model;

async function loaded(settings: LoadSettings = {}): Promise<{ board: BoardClient; model: Model }> {
  const own = await connect('mock:');
  return { board: own, model: await own.models.upload('models/tiny-stories-Q3_K_M.gguf', settings) };
}

beforeAll(async () => {
  ({ board, model } = await loaded());
}, 60_000);
afterAll(() => board.close());

async function read(generation: Generation): Promise<{ tokens: Token[]; done: DoneEvent }> {
  const tokens: Token[] = [];
  for await (const token of generation) tokens.push(token);
  return { tokens, done: await generation.done };
}

/** What of an end does not depend on clocks, nor on where parts were computed. */
function endOf({ reason, text, tokens, timing: { promptTokens, generatedTokens } }: DoneEvent) {
  return { reason, text, tokens, promptTokens, generatedTokens };
}

const idsOf = (tokens: readonly Token[]) => tokens.map(({ id }) => id);

/** Goes on after every beginning of a generation, all of them at a time. */
async function expectSameAfterEveryCut(on: Model, prompt: string, options: GenerateOptions) {
  const whole = await read(on.generate(prompt, options));
  const ids = idsOf(whole.tokens);
  const rests = ids.map((_, cut) =>
    read(on.generate(prompt, { ...options, continueFrom: ids.slice(0, cut) })),
  );
  for (const [cut, rest] of (await Promise.all(rests)).entries()) {
    expect(rest.tokens, `after ${cut}`).toEqual(whole.tokens.slice(cut));
    expect(endOf(rest.done)).toEqual(endOf(whole.done));
    expect(rest.done.timing.replayedTokens).toBe(cut);
  }
  await expect(on.generate(prompt, { ...options, continueFrom: ids }).done).rejects.toMatchObject({
    code: 'LLM_CONTINUE_ENDED',
    context: { reason: whole.done.reason, tokens: ids.length, given: ids.length },
  });
  return whole;
}

describe('generate with continueFrom gives the rest to the bit, after each of twelve tokens', () => {
  it.each<[string, string, GenerateOptions]>([
    ['greedy', PROMPT, { ...GREEDY, topLogprobs: 3 }],
    ['sampled', PROMPT, { ...GREEDY, temperature: 1, seed: 7 }],
    [
      'with penalties and a bias',
      PROMPT,
      {
        ...GREEDY,
        temperature: 0.8,
        seed: 3,
        repeatPenalty: 1.3,
        frequencyPenalty: 1.5,
        presencePenalty: 0.4,
        repeatLastN: 6,
        logitBias: [300, 301, 302].map((token) => ({ token, bias: 25 })),
      },
    ],
    ['with prompt lookup', REPETITIVE, { ...GREEDY, promptLookup: true }],
  ])('%s', async (_, prompt, options) => {
    expect((await expectSameAfterEveryCut(model, prompt, options)).tokens).toHaveLength(TOKENS);
  });

  it('with stop strings, one of which only begins', async () => {
    const { tokens } = await read(model.generate(PROMPT, GREEDY));
    const [, , third, fourth] = tokens.map(({ text }) => text);
    const stop = [`${third.slice(1)}${fourth}~`, tokens[9].text + tokens[10].text.slice(0, 2)];
    const whole = await expectSameAfterEveryCut(model, PROMPT, { ...GREEDY, stop });
    expect(whole.done.reason).toBe('stop');
    expect(whole.tokens).toHaveLength(11);
  });

  it('within a schema, and within its characters', async () => {
    const schema = { enum: ['ö€🙂', 'a wolf'] };
    const whole = await expectSameAfterEveryCut(model, PROMPT, {
      temperature: 1,
      seed: 5,
      // The first byte of the one with characters of several bytes.
      logitBias: [{ token: (await model.tokenize('ö', { addSpecial: false })).at(-2) ?? 0, bias: 30 }],
      responseFormat: { type: 'json-schema', schema },
    });
    const text = whole.tokens.map((token) => token.text).join('');
    expect(schema.enum).toContain(JSON.parse(text));
    expect(whole.done.reason).toBe('end-of-text');
  });

  it('with a draft model', async () => {
    const draftModel = await board.models.upload('models/tiny-stories-Q2_K.gguf');
    await expectSameAfterEveryCut(model, PROMPT, { ...GREEDY, draftModel });
    await draftModel.unload();
  });

  it('with keys and values in INT8, on another board each', async () => {
    const [one, other] = await Promise.all([loaded({ kvType: 'int8' }), loaded({ kvType: 'int8' })]);
    try {
      const options = { ...GREEDY, maxTokens: 24, temperature: 1, seed: 2 };
      const { tokens } = await read(one.model.generate(PROMPT, options));
      for (const cut of [3, 11, 12, 17]) {
        const continueFrom = idsOf(tokens).slice(0, cut);
        const rest = await read(other.model.generate(PROMPT, { ...options, continueFrom }));
        expect(rest.tokens).toEqual(tokens.slice(cut));
      }
    } finally {
      await Promise.all([one.board.close(), other.board.close()]);
    }
  });

  it('for several answers to a prompt, each with its seed', async () => {
    const options = [0, 1, 2].map((seed) => ({ ...GREEDY, temperature: 1, seed }));
    const wholes = await Promise.all(options.map((one) => read(model.generate(PROMPT, one))));
    for (let cut = 0; cut < TOKENS; cut++) {
      const cuts = options.map((_, i) => (cut + 5 * i) % TOKENS);
      const rests = options.map((one, i) => {
        const continueFrom = idsOf(wholes[i].tokens).slice(0, cuts[i]);
        return read(model.generate(PROMPT, { ...one, continueFrom }));
      });
      for (const [i, { tokens }] of (await Promise.all(rests)).entries())
        expect(tokens).toEqual(wholes[i].tokens.slice(cuts[i]));
    }
  });
});

describe('a generation that goes on', () => {
  it('gives the text of new tokens, and stops at its window until they are read', async () => {
    const { tokens } = await read(model.generate(PROMPT, GREEDY));
    const continueFrom = idsOf(tokens).slice(0, 5);
    const rest = model.generate(PROMPT, { ...GREEDY, continueFrom, window: 2 });
    await expect
      .poll(async () => (await board.metrics()).models.flatMap(({ sequences }) => sequences))
      .toMatchObject([{ generated: 7 }]);
    const text = tokens.slice(5).map((token) => token.text);
    expect(await rest.text()).toBe(text.join(''));
  });

  it('that is cancelled counts the tokens before it', async () => {
    const { tokens } = await read(model.generate(PROMPT, GREEDY));
    const continueFrom = idsOf(tokens).slice(0, 4);
    const rest = model.generate(PROMPT, { ...GREEDY, continueFrom, window: 1 });
    for await (const token of rest) {
      expect(token.index).toBe(4);
      break;
    }
    const { reason, timing, tokens: count } = await rest.done;
    expect(reason).toBe('cancelled');
    expect(timing.replayedTokens).toBe(4);
    expect(count).toBeGreaterThan(4);
    expect(timing.generatedTokens).toBe(count);
  });

  it.each<[string, unknown, object]>([
    ['a text', 'abc', { code: 'SDK_ARGUMENT', context: { argument: 'options.continueFrom' } }],
    ['a negative id', [-1], { code: 'PROTOCOL_BAD_PARAMS' }],
    ['half an id', [1.5], { code: 'PROTOCOL_BAD_PARAMS' }],
    ['what is no number', [1, '2'], { code: 'PROTOCOL_BAD_PARAMS' }],
    ['too many', Array<number>(MAX_PROMPT_TOKENS + 1).fill(300), { code: 'PROTOCOL_BAD_PARAMS' }],
    ['an id out of the vocabulary', [2 ** 31], { code: 'LLM_TOKEN_RANGE' }],
    ['more than there may be', Array<number>(TOKENS + 1).fill(300), { code: 'LLM_CONTINUE_ENDED' }],
    ['more than fits', Array<number>(MAX_PROMPT_TOKENS).fill(300), { code: 'LLM_CONTINUE_ENDED' }],
  ])('is refused after %s', async (_, continueFrom, error) => {
    const options = { ...GREEDY, continueFrom } as GenerateOptions;
    await expect((async () => model.generate(PROMPT, options).done)()).rejects.toMatchObject(error);
    expect((await board.health()).generations).toBe(0);
  });

  it('is refused after what its schema forbids, and with beam search', async () => {
    const form: GenerateOptions = { responseFormat: { type: 'json-object' }, continueFrom: [300] };
    await expect(model.generate(PROMPT, form).admitted).rejects.toMatchObject({
      code: 'LLM_CONTINUE_FORBIDDEN',
      context: { index: 0, token: 300 },
    });
    const beams: GenerateOptions = { beams: { width: 2 }, continueFrom: [300] };
    await expect(model.generate(PROMPT, beams).done).rejects.toMatchObject({ code: 'LLM_REQUEST_INVALID' });
  });

  it('and the prompt have a limit together', async () => {
    const tokens = Array<number>(MAX_PROMPT_TOKENS).fill(300);
    await expect(model.generate({ tokens }, { continueFrom: [300] }).done).rejects.toMatchObject({
      code: 'PROTOCOL_BAD_PARAMS',
    });
  });
});
