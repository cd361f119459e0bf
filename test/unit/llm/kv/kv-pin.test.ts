import { describe, expect, it, vi } from 'vitest';
import { PynqLlmError } from '../../../../errors/index.js';
import type { PrefillSink } from '../../../../llm/engine/prefill.js';
import type { KvType } from '../../../../llm/kv/layout.js';
import type { KvPin } from '../../../../llm/kv/pool.js';
import type { Model } from '../../../../llm/model/model.js';
import { EngineMetrics } from '../../../../llm/scheduling/index.js';
import { Random } from '../../../../maths/index.js';
import { Bench, tinyOfPages } from '../models.js';

const tiny = (pages: number, kvType: KvType = 'f16') => tinyOfPages(kvType, pages);

/** A prompt of its own for every `first`. */
function prompt(first: number, length: number): number[] {
  return Array.from({ length }, (_, i) => 3 + ((7 * first + 3 * i) % 250));
}

const onCancelled = () => expect.fail('it was cancelled');
const onError = (error: Error) => expect.fail(error.message);

/** What came of a pin. */
interface Outcome {
  pin?: KvPin;
  cancelled?: true;
  error?: Error;
}

function begin(bench: Bench, tokens: readonly number[]) {
  const outcome: Outcome = {};
  const sink: PrefillSink<KvPin> = {
    onDone: (pin) => {
      outcome.pin = pin;
    },
    onCancelled: () => {
      outcome.cancelled = true;
    },
    onError: (error) => {
      outcome.error = error;
    },
  };
  return { outcome, pinning: bench.engine.pin(tokens, sink) };
}

/** Pins with nothing else to do. */
function pin(bench: Bench, tokens: readonly number[]): KvPin {
  const { outcome } = begin(bench, tokens);
  bench.run();
  if (outcome.pin === undefined) throw outcome.error ?? new Error('it was not pinned');
  return outcome.pin;
}

const tokensOf = ({ tokens }: { readonly tokens: readonly { readonly id: number }[] }) =>
  tokens.map(({ id }) => id);

function expectNothingLeft({ kvPool }: Model): void {
  expect(kvPool.stats).toMatchObject({ used: 0, pinned: 0 });
  kvPool.clear();
  expect(kvPool.memory.freeFrames).toBe(kvPool.memory.frames);
}

describe('a pin', () => {
  it.each(['f16', 'int8'] as const)('of %s computes the prompt and keeps its whole pages', (type) => {
    const bench = new Bench(tiny(20, type));
    const { outcome, pinning } = begin(bench, prompt(1, 40));
    expect(outcome).toEqual({});
    expect(pinning).toMatchObject({ done: 0, total: 32 });
    bench.engine.step();
    expect(pinning.done).toBe(24);
    bench.run();
    expect(outcome.pin?.tokens).toBe(32);
    expect(bench.engine.count).toBe(0);
    expect(bench.model.kvPool.stats).toMatchObject({ pinned: 2, used: 2, cached: 0, hits: 0 });
    outcome.pin?.release();
    expectNothingLeft(bench.model);
  });

  it('outlives pressure that throws out an unpinned prompt, and the tokens are the same', () => {
    const bench = new Bench(tiny(16));
    const [kept, other] = [prompt(1, 48), prompt(2, 48)];
    const request = { prompt: [...kept, 9], maxTokens: 12, ignoreEos: true, sampling: { seed: 3 } };
    const alone = new Bench(tiny(16));
    const expected = alone.submit(request).received;
    alone.run();

    const held = pin(bench, kept);
    pin(bench, other).release();
    for (let i = 3; i < 12; i++) bench.submit({ prompt: prompt(i, 100), maxTokens: 20, ignoreEos: true });
    bench.run();
    const hitsOf = (tokens: readonly number[]) => {
      const before = bench.model.kvPool.stats.hits;
      const { received } = bench.submit({ ...request, prompt: [...tokens, 9] });
      bench.run();
      return { hits: bench.model.kvPool.stats.hits - before, received };
    };
    const { hits, received } = hitsOf(kept);
    expect(hits).toBe(3);
    expect(tokensOf(received)).toEqual(tokensOf(expected));
    expect(hitsOf(other).hits).toBe(0);
    held.release();
    expectNothingLeft(bench.model);
  });

  it('is there at once where nothing has to be computed', () => {
    const metrics = new EngineMetrics();
    const bench = new Bench(tiny(16), { metrics });
    pin(bench, prompt(1, 32)).release();
    expect(metrics.columns).toBe(32);
    const { outcome } = begin(bench, prompt(1, 47));
    expect(outcome.pin?.tokens).toBe(32);
    expect(metrics.columns).toBe(32);
    outcome.pin?.release();
    expectNothingLeft(bench.model);
  });

  it('of less than a page keeps nothing', () => {
    const bench = new Bench(tiny(16));
    expect(begin(bench, prompt(1, 15)).outcome.pin?.tokens).toBe(0);
    expectNothingLeft(bench.model);
  });

  it('shares the time of the board with generations, whose tokens stay the same', () => {
    const request = { prompt: prompt(5, 10), maxTokens: 30, ignoreEos: true, sampling: { seed: 1 } };
    const alone = new Bench(tiny(24));
    const expected = alone.submit(request).received;
    alone.run();
    const bench = new Bench(tiny(24));
    const { received } = bench.submit(request);
    const { outcome } = begin(bench, prompt(1, 120));
    bench.run();
    expect(outcome.pin?.tokens).toBe(112);
    expect(tokensOf(received)).toEqual(tokensOf(expected));
  });

  it('that is cancelled ends with the next step and leaves nothing', () => {
    const bench = new Bench(tiny(16));
    const { outcome, pinning } = begin(bench, prompt(1, 64));
    bench.engine.step();
    pinning.cancel();
    pinning.cancel();
    bench.run();
    expect(outcome).toEqual({ cancelled: true });
    expectNothingLeft(bench.model);
  });

  it('is computed to the end by a second try where the device fails; a second failure leaves nothing', () => {
    const bench = new Bench(tiny(16));
    const compute = vi.spyOn(bench.model, 'compute');
    const fail = () => {
      throw new PynqLlmError('DRIVER_DMA_TIMEOUT', 'injected');
    };
    compute.mockImplementationOnce(fail);
    pin(bench, prompt(1, 64)).release();
    const { outcome } = begin(bench, prompt(2, 64));
    bench.engine.step();
    compute.mockImplementationOnce(fail).mockImplementationOnce(fail);
    bench.run();
    expect(outcome).toMatchObject({ error: { code: 'DRIVER_DMA_TIMEOUT' } });
    expectNothingLeft(bench.model);
  });

  it('that makes room for an interactive request goes on after it', () => {
    const bench = new Bench(tiny(8));
    const outcome: Outcome = {};
    const sink = { onDone: (held: KvPin) => Object.assign(outcome, { pin: held }), onCancelled, onError };
    bench.engine.pin(prompt(1, 64), sink, { class: 'batch' });
    bench.engine.step();
    const { received } = bench.submit({ prompt: prompt(2, 100), maxTokens: 20, ignoreEos: true });
    bench.run();
    expect(received.result).toMatchObject({ reason: 'max-tokens' });
    expect(bench.model.kvPool.stats.preemptions).toBeGreaterThan(0);
    expect(outcome.pin?.tokens).toBe(64);
    outcome.pin?.release();
    expectNothingLeft(bench.model);
  });

  it.each([
    ['without tokens', [], 'LLM_PROMPT_EMPTY'],
    ['longer than the context', prompt(1, 129), 'LLM_PROMPT_TOO_LONG'],
    ['of unknown tokens', [260], 'LLM_TOKEN_RANGE'],
  ])('of a prompt %s is refused', (_, tokens, code) => {
    const bench = new Bench(tiny(40));
    expect(() => begin(bench, tokens)).toThrow(code);
    expect(bench.engine.count).toBe(0);
  });
});

describe('pins together', () => {
  it('may take half of the pages', () => {
    const bench = new Bench(tiny(8));
    const first = pin(bench, prompt(1, 48));
    expect(() => begin(bench, prompt(2, 32))).toThrow(
      /LLM_KV_PINNED.*2 pages, 2 more.*3 are, and 4 of the 8/,
    );
    // Pages that are pinned already count once.
    const longer = pin(bench, prompt(1, 64));
    expect(bench.model.kvPool.stats.pinned).toBe(4);
    first.release();
    expect(bench.model.kvPool.stats.pinned).toBe(4);
    longer.release();
    pin(bench, prompt(2, 32)).release();
    expectNothingLeft(bench.model);
  });

  it('that are computed at the same time do not take more either', () => {
    const bench = new Bench(tiny(8));
    const [a, b] = [begin(bench, prompt(1, 48)), begin(bench, prompt(2, 48))];
    bench.run();
    expect([a, b].filter(({ outcome }) => outcome.pin !== undefined)).toHaveLength(1);
    const refused = [a, b].find(({ outcome }) => outcome.error !== undefined);
    expect(refused?.outcome.error).toMatchObject({ code: 'LLM_KV_PINNED' });
    for (const { outcome } of [a, b]) outcome.pin?.release();
    expectNothingLeft(bench.model);
  });

  it('leave a sequence the rest: more is refused, and what says no number of tokens ends there', () => {
    const bench = new Bench(tiny(8));
    const held = pin(bench, prompt(1, 64));
    expect(() => bench.submit({ prompt: prompt(2, 60), maxTokens: 6 })).toThrow(/LLM_KV_TOO_LONG.*for 64/);
    const { received } = bench.submit({ prompt: prompt(2, 60), ignoreEos: true });
    bench.run();
    expect(received.result).toMatchObject({ reason: 'context-full', tokens: 5 });
    // Pinned pages are room for the sequence that begins with them.
    const own = bench.submit({ prompt: [...prompt(1, 64), 5], maxTokens: 64, ignoreEos: true }).received;
    bench.run();
    expect(own.result).toMatchObject({ reason: 'max-tokens', tokens: 64 });
    held.release();
    expectNothingLeft(bench.model);
  });

  it('end what was taken in before and has no room any more, instead of keeping it waiting', () => {
    const bench = new Bench(tiny(8));
    const begun = bench.submit({ prompt: prompt(2, 50), maxTokens: 70, ignoreEos: true, credit: 1 });
    const waiting = bench.submit({ prompt: prompt(3, 100), credit: 0 });
    bench.run();
    const held = pin(bench, prompt(1, 64));
    begun.generation.grant(1000);
    waiting.generation.grant(1000);
    bench.run();
    expect(begun.received.result).toMatchObject({ reason: 'context-full', tokens: 15 });
    expect(waiting.received.error).toMatchObject({ code: 'LLM_KV_FULL' });
    held.release();
    expectNothingLeft(bench.model);
  });
});

it.each(['f16', 'int8'] as const)(
  'of %s nothing is lost after 200 random pins with generations, cancels and releases',
  (type) => {
    const bench = new Bench(tiny(16, type));
    const random = new Random(11);
    const below = (n: number) => Math.floor(random.nextDouble() * n);
    const open: ReturnType<typeof begin>[] = [];
    const ends = { pinned: 0, cancelled: 0, refused: 0 };
    const release = (i: number) => {
      const [{ outcome, pinning }] = open.splice(i, 1);
      if (outcome.pin !== undefined) ends.pinned++;
      else if (outcome.error !== undefined) ends.refused++;
      else ends.cancelled++;
      pinning.cancel();
      outcome.pin?.release();
    };
    for (let made = 0; made < 200; ) {
      if (bench.engine.count < 8 && below(2) === 0) {
        made++;
        try {
          open.push(begin(bench, prompt(below(6), 1 + below(90))));
        } catch (error) {
          expect(error).toMatchObject({ code: 'LLM_KV_PINNED' });
          ends.refused++;
        }
      }
      if (bench.engine.count < 8) {
        const { generation } = bench.submit({
          prompt: prompt(below(6), 1 + below(40)),
          maxTokens: 1 + below(20),
        });
        if (below(4) === 0) generation.cancel();
      }
      bench.engine.step();
      if (open.length > 0 && below(8) === 0) release(below(open.length));
      const { stats } = bench.model.kvPool;
      expect(stats.pinned).toBeLessThanOrEqual(stats.pages / 2);
    }
    while (open.length > 0) release(0);
    bench.run();
    for (const count of Object.values(ends)) expect(count).toBeGreaterThan(10);
    expectNothingLeft(bench.model);
  },
);
