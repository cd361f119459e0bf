import { expect } from 'vitest';
import type { ResponseFormat } from '../../../../constraint/index.js';
import type { GenerateRequest } from '../../../../llm/engine/request.js';
import type { Model } from '../../../../llm/model/model.js';
import { Random } from '../../../../maths/index.js';
import { Bench, type Received, tinyOfPages } from '../models.js';

export function run(on: Model, request: GenerateRequest): Received & { readonly steps: number } {
  const bench = new Bench(on);
  const { received } = bench.submit(request);
  let steps = 0;
  for (; bench.engine.hasWork; steps++) bench.engine.step();
  return { ...received, steps };
}

/** What does not depend on clocks or on what the pool had already. */
export function endOf({ result }: Received) {
  if (result === undefined) return undefined;
  const { promptTokens, generatedTokens } = result.timing;
  return { reason: result.reason, text: result.text, tokens: result.tokens, promptTokens, generatedTokens };
}

/**
 * Fails unless so many requests of any options, cut several times anywhere, give what they give uncut.
 * @param model one that has a tokenizer for schemas; others are tiny
 */
export function givesTheSameCut(model: Model, requests: number): void {
  const random = new Random(23);
  const below = (n: number) => Math.floor(random.nextDouble() * n);
  const maybe = <T>(value: T): T | undefined => (below(2) === 0 ? value : undefined);
  const tiny = { f16: tinyOfPages('f16', 64), int8: tinyOfPages('int8', 64) };
  let cuts = 0;
  for (let i = 0; i < requests; i++) {
    const on = below(4) === 0 ? model : below(2) === 0 ? tiny.f16 : tiny.int8;
    const highest = on.config.vocabSize - 3;
    const request: GenerateRequest = {
      prompt: Array.from({ length: 1 + below(40) }, () => 3 + below(highest)),
      maxTokens: 1 + below(30),
      ignoreEos: below(2) === 0,
      promptLookup: below(2) === 0,
      stop: maybe(
        Array.from({ length: 1 + below(3) }, () => on.tokenizer.decode([3 + below(highest)]) || 'x'),
      ),
      responseFormat: on === model ? maybe<ResponseFormat>({ type: 'json-object' }) : undefined,
      sampling: {
        seed: below(1000),
        temperature: maybe(below(3) / 2),
        topK: maybe(below(50)),
        topP: maybe(random.nextDouble()),
        minP: maybe(random.nextDouble() / 5),
        repeatPenalty: maybe(0.8 + random.nextDouble()),
        frequencyPenalty: maybe(random.nextDouble()),
        presencePenalty: maybe(random.nextDouble() - 0.5),
        repeatLastN: maybe(below(30) - 1),
        logitBias: maybe([[3 + below(highest), below(9) - 4] as const]),
        topLogprobs: below(3),
      },
    };
    const whole = run(on, request);
    if (whole.error !== undefined) throw whole.error;
    // Each part is cut by ending it early, and the next one has the tokens of all before it.
    const pieces: Received['tokens'][number][] = [];
    let last: Received | undefined;
    while (pieces.length < whole.tokens.length) {
      const bench = new Bench(on);
      const continueFrom = pieces.map(({ id }) => id);
      const { received, generation } = bench.submit({ ...request, continueFrom, credit: 0 });
      generation.grant(pieces.length + 1 + below(12));
      bench.run();
      generation.cancel();
      if (bench.engine.count > 0) bench.engine.step();
      pieces.push(...received.tokens);
      last = received;
      cuts++;
    }
    expect(pieces).toEqual(whole.tokens);
    expect(last && endOf(last)).toEqual(endOf(whole));
  }
  expect(cuts).toBeGreaterThan((5 / 3) * requests);
}
