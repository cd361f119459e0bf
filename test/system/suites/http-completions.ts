import type OpenAI from 'openai';
import { APIUserAbortError, NotFoundError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHAT, type HttpAgent, PROMPT, TINY } from '../support/http-agent.js';

/** What clients of the OpenAI API rely on, whatever answers behind it. */
export function httpCompletionsSuite(start: () => Promise<HttpAgent>): void {
  let http: HttpAgent;
  beforeAll(async () => {
    http = await start();
  });
  afterAll(() => http?.[Symbol.asyncDispose]());

  describe('models', () => {
    it('are listed by name', async () => {
      const ids = (await http.openai.models.list()).data.map(({ id }) => id);
      expect(ids.toSorted()).toEqual([CHAT, TINY]);
      expect((await http.openai.models.retrieve(TINY)).object).toBe('model');
    });

    it('that the board does not have end in OpenAI’s 404', async () => {
      const request = http.openai.completions.create({ model: 'gpt-4', prompt: PROMPT });
      await expect(request).rejects.toThrow(NotFoundError);
      await expect(request).rejects.toMatchObject({ code: 'model_not_found', param: 'model' });
      await expect(http.openai.models.retrieve('gpt-4')).rejects.toThrow(NotFoundError);
    });
  });

  describe('completions', () => {
    const request = { model: TINY, prompt: PROMPT, temperature: 0, max_tokens: 12 } as const;

    it('give the text that the SDK gives, and count tokens', async () => {
      const answer = await http.openai.completions.create(request);
      expect(answer.choices[0]!.text).toBe(await http.expected(12));
      expect(answer.choices[0]!.finish_reason).toBe('length');
      expect(answer.usage!.completion_tokens).toBe(12);
      expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + 12);
    });

    it('stream the same text', async () => {
      const stream = await http.openai.completions.create({
        ...request,
        stream: true,
        stream_options: { include_usage: true },
      });
      let text = '';
      let finish: string | null = null;
      let usage: OpenAI.CompletionUsage | null | undefined;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.text ?? '';
        finish = chunk.choices[0]?.finish_reason ?? finish;
        usage = chunk.usage ?? usage;
      }
      expect(text).toBe(await http.expected(12));
      expect(finish).toBe('length');
      expect(usage!.completion_tokens).toBe(12);
    });

    it('of a client that goes away are cancelled, answered whole as well as streamed', async () => {
      const cancelled = async () => (await http.board.metrics()).classes.interactive.cancelled;
      const before = await cancelled();
      const gone = new AbortController();
      const long = { ...request, prompt: 'Long ago', max_tokens: 480, ignore_eos: true };
      const whole = http.openai.completions.create(long, { signal: gone.signal });
      await expect.poll(async () => (await http.board.health()).generations).toBeGreaterThan(0);
      gone.abort();
      await expect(whole).rejects.toThrow(APIUserAbortError);
      await expect.poll(cancelled).toBe(before + 1);
    });

    it('take token ids, and several prompts at once', async () => {
      const model = await http.board.models.load(TINY);
      const tokens = await model.tokenize(PROMPT);
      const other = 'The cat';
      const [byTokens, several] = await Promise.all([
        http.openai.completions.create({ ...request, prompt: tokens }),
        http.openai.completions.create({ ...request, prompt: [PROMPT, other] }),
      ]);
      expect(byTokens.choices[0]!.text).toBe(await http.expected(12));
      expect(several.choices.map(({ text }) => text)).toEqual([
        await http.expected(12),
        await http.expected(12, other),
      ]);
    });

    it('with beams give the likeliest ones, which only whole answers can', async () => {
      const beams = { ...request, beam_width: 4, length_penalty: 0, n: 2, ignore_eos: true };
      const answer = await http.openai.completions.create(beams);
      expect(answer.choices).toHaveLength(2);
      const model = await http.board.models.load(TINY);
      const prompt = await model.tokenize(PROMPT);
      const logprobs = answer.choices.map(async ({ text }) => {
        const { logprobs } = await model.score(
          [...prompt, ...(await model.tokenize(text, { addSpecial: false }))],
          {
            from: prompt.length,
          },
        );
        return logprobs.reduce<number>((sum, one) => sum + (one ?? 0), 0);
      });
      const [first, second] = await Promise.all(logprobs);
      expect(first).toBeGreaterThanOrEqual(second!);
      expect(answer.usage!.completion_tokens).toBe(24);
      await expect(http.openai.completions.create({ ...beams, n: 5 })).rejects.toMatchObject({
        status: 400,
        param: 'n',
      });
      const streamed = http.openai.completions.create({ ...beams, stream: true });
      await expect(streamed).rejects.toMatchObject({ status: 400, param: 'stream' });
    });

    it('end before a stop string', async () => {
      const whole = await http.expected(24);
      const stop = whole.slice(10, 14);
      const answer = await http.openai.completions.create({ ...request, max_tokens: 24, stop });
      expect(answer.choices[0]!.text).toBe(whole.slice(0, whole.indexOf(stop)));
      expect(answer.choices[0]!.finish_reason).toBe('stop');
    });

    it('with n give several answers, the same for the same seed', async () => {
      const sampled = { ...request, temperature: 1, n: 3, seed: 7 };
      const first = await http.openai.completions.create(sampled);
      const again = await http.openai.completions.create(sampled);
      const texts = first.choices.map(({ text }) => text);
      expect(new Set(texts).size).toBe(3);
      expect(again.choices.map(({ text }) => text)).toEqual(texts);
      expect(first.usage!.completion_tokens).toBe(36);
    });

    it('with best_of give the likeliest of those drawn', async () => {
      const sampled = { ...request, temperature: 1, seed: 7, logprobs: 0 };
      const all = await http.openai.completions.create({ ...sampled, n: 4 });
      const meanOf = (choice: OpenAI.CompletionChoice) => {
        const values = choice.logprobs!.token_logprobs!;
        return values.reduce((sum, value) => sum + value, 0) / values.length;
      };
      const best = all.choices.toSorted((a, b) => meanOf(b) - meanOf(a)).slice(0, 2);
      const answer = await http.openai.completions.create({ ...sampled, n: 2, best_of: 4 });
      expect(answer.choices.map(({ text }) => text)).toEqual(best.map(({ text }) => text));
      expect(answer.usage!.completion_tokens).toBe(48);
      const streamed = http.openai.completions.create({ ...sampled, best_of: 2, stream: true });
      await expect(streamed).rejects.toMatchObject({ status: 400, param: 'best_of' });
    });

    it('score a prompt and generate nothing, as evaluation harnesses ask', async () => {
      // lm-evaluation-harness: token ids, greedy, one candidate, several prompts a request.
      const model = await http.board.models.load(TINY);
      const prompts = [await model.tokenize(`${PROMPT} there was`), await model.tokenize(PROMPT)];
      const answer = await http.openai.completions.create({
        model: TINY,
        prompt: prompts,
        temperature: 0,
        max_tokens: 0,
        logprobs: 1,
        seed: 1234,
        echo: true,
      });
      expect(answer.usage).toMatchObject({ completion_tokens: 0, prompt_tokens: prompts.flat().length });
      for (const [i, ids] of prompts.entries()) {
        const { logprobs, finish_reason: reason } = answer.choices[i];
        const scored = await model.score(ids, { topLogprobs: 1 });
        expect(reason).toBe('length');
        expect(logprobs!.token_logprobs).toEqual(scored.logprobs);
        // The harness asks whether the token was the likeliest.
        const greedy = scored.top.slice(0, -1).map(([[id]], at) => id === ids[at + 1]);
        const told = logprobs!
          .top_logprobs!.slice(1)
          .map((top, at) => Math.max(...Object.values(top)) === logprobs!.token_logprobs![at + 1]);
        expect(told).toEqual(greedy);
      }
      const nothing = await http.openai.completions.create({ model: TINY, prompt: PROMPT, max_tokens: 0 });
      expect([nothing.choices[0].text, nothing.choices[0].finish_reason]).toEqual(['', 'length']);
    });

    it('with echo give the prompt too, scored as the SDK scores it, whole and streamed', async () => {
      const model = await http.board.models.load(TINY);
      const ids = (await model.tokenize('Once upon a time there')).slice(1);
      const echoed = { ...request, prompt: ids, max_tokens: 1, echo: true, logprobs: 1, n: 2 };
      const answer = await http.openai.completions.create(echoed);
      const scored = await model.score(ids, { topLogprobs: 1 });
      for (const { text, logprobs } of answer.choices) {
        expect(text).toMatch(/^Once upon a time there./);
        expect(logprobs!.tokens!.join('')).toBe(text);
        expect(logprobs!.token_logprobs!.slice(0, -1)).toEqual(scored.logprobs);
        expect(logprobs!.top_logprobs![0]).toBeNull();
        expect(Object.values(logprobs!.top_logprobs![1]!)).toEqual([scored.top[0]![0]![1]]);
        expect(
          logprobs!.text_offset!.map((at, i) => text.startsWith(logprobs!.tokens![i]!, at)),
        ).not.toContain(false);
      }
      let text = '';
      const tokens: string[] = [];
      const offsets: number[] = [];
      for await (const chunk of await http.openai.completions.create({ ...echoed, n: 1, stream: true })) {
        text += chunk.choices[0]!.text;
        tokens.push(...(chunk.choices[0]!.logprobs?.tokens ?? []));
        offsets.push(...(chunk.choices[0]!.logprobs?.text_offset ?? []));
      }
      expect(text).toBe(answer.choices[0]!.text);
      expect({ tokens, offsets }).toEqual({
        tokens: answer.choices[0]!.logprobs!.tokens,
        offsets: answer.choices[0]!.logprobs!.text_offset,
      });
      const ofText = await http.openai.completions.create({ ...request, echo: true, logprobs: 0 });
      const { logprobs } = ofText.choices[0]!;
      expect(ofText.choices[0]!.text).toBe(PROMPT + (await http.expected(12)));
      expect(logprobs!.tokens!.join('')).toBe(ofText.choices[0]!.text);
      expect(logprobs!.token_logprobs![0]).toBeLessThan(0);
    });

    it('tell the bytes of tokens that are only parts of characters', async () => {
      const bias = (id: number) => ({ logit_bias: { [id]: 100 }, max_tokens: 2, logprobs: 1 });
      // The model's byte tokens are at 2048 + byte; these two are one character.
      const model = await http.board.models.load(TINY);
      const [first] = await model.pieces([2048 + 0xc3]);
      expect([...first!]).toEqual([0xc3]);
      const answer = await http.openai.completions.create({ ...request, ...bias(2048 + 0xc3) });
      const { tokens, top_logprobs } = answer.choices[0]!.logprobs!;
      expect(tokens).toEqual(['bytes:\\xc3', 'bytes:\\xc3']);
      expect(Object.keys(top_logprobs![0]!)[0]).not.toContain('\ufffd');
      const chat = await http.openai.chat.completions.create({
        model: CHAT,
        messages: [{ role: 'user', content: PROMPT }],
        temperature: 0,
        ...bias(2048 + 0xc3),
        logprobs: true,
      });
      expect(chat.choices[0]!.logprobs!.content![0]).toMatchObject({ token: '\\xc3', bytes: [0xc3] });
    });

    it('count the texts’ offsets in each answer by itself', async () => {
      const several = { ...request, prompt: [PROMPT, 'The cat'], n: 2, temperature: 1, logprobs: 0, seed: 4 };
      const offsetsOf = (parts: readonly string[]) =>
        parts.map((_, i) => parts.slice(0, i).reduce((sum, { length }) => sum + length, 0));
      const whole = await http.openai.completions.create(several);
      for (const { logprobs } of whole.choices)
        expect(logprobs!.text_offset).toEqual(offsetsOf(logprobs!.tokens!));
      const streamed = whole.choices.map(() => [] as number[]);
      for await (const { choices } of await http.openai.completions.create({ ...several, stream: true }))
        for (const { index, logprobs } of choices) streamed[index]!.push(...(logprobs?.text_offset ?? []));
      expect(streamed).toEqual(whole.choices.map(({ logprobs }) => logprobs!.text_offset));
    });

    it('report log-probabilities that the tokens’ texts go with', async () => {
      const answer = await http.openai.completions.create({ ...request, max_tokens: 80, logprobs: 2 });
      const { tokens, token_logprobs, top_logprobs } = answer.choices[0]!.logprobs!;
      expect(tokens!.join('')).toBe(answer.choices[0]!.text);
      expect(token_logprobs!.every((value) => value < 0)).toBe(true);
      expect(Object.keys(top_logprobs![0]!)).toHaveLength(2);
      expect(Math.max(...Object.values(top_logprobs![0]!))).toBeCloseTo(token_logprobs![0]!, 5);
    });
  });
}
