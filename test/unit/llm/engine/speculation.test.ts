import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/description-file.js';
import { Accelerator } from '../../../../driver/accelerator.js';
import { fileSource, GgmlType, openGguf } from '../../../../gguf/index.js';
import type { GenerateRequest } from '../../../../llm/engine/request.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { EngineMetrics } from '../../../../llm/scheduling/index.js';
import { draftLength } from '../../../../llm/speculation/draft-length.js';
import { PromptLookup } from '../../../../llm/speculation/prompt-lookup.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { Bench, deepened, GREEDY, syntheticGguf, TINY_STORIES } from '../models.js';

const board = openMockBoard({ ...loadBoardDescription('kv260'), timing: 'systemc' });
const accelerator = new Accelerator(board);
const model = loadModel(openGguf(fileSource(TINY_STORIES)), { accelerator, contextLength: 160 });
const ONCE = model.tokenizer.encode('Once upon a time');
const REPETITIVE = model.tokenizer.encode('The cat sat on the mat. The dog sat on the mat. '.repeat(4));

describe('looking up the last tokens', () => {
  const lookup = (tokens: readonly number[]) => {
    const made = new PromptLookup(1000);
    for (const token of tokens) made.push(token);
    return made;
  };

  it('proposes what followed the last three tokens where they stood last', () => {
    expect(lookup([1, 2, 3, 4, 5, 6, 7, 1, 2, 3]).draft(3)).toEqual({ tokens: [4, 5, 6], matched: 3 });
    expect(lookup([1, 2, 3, 4, 9, 1, 2, 3, 5, 8, 1, 2, 3]).draft(2)).toEqual({ tokens: [5, 8], matched: 3 });
  });

  it('falls back to the last two, and to the last one', () => {
    expect(lookup([1, 2, 3, 4, 8, 2, 3]).draft(2)).toEqual({ tokens: [4, 8], matched: 2 });
    expect(lookup([3, 4, 8, 2, 3]).draft(2)).toEqual({ tokens: [4, 8], matched: 1 });
  });

  it('goes round where the sequence repeats itself', () => {
    expect(lookup([1, 2, 1, 2]).draft(5)).toEqual({ tokens: [1, 2, 1, 2, 1], matched: 2 });
  });

  it('proposes nothing that was not there', () => {
    for (const tokens of [[], [5], [1, 2, 3, 4]]) expect(lookup(tokens).draft(4).tokens).toEqual([]);
  });
});

describe('the length of a draft', () => {
  // A step of eight columns costs 1.9 times one: the manual's formulas for 2048 x 2048 in Q3_K.
  const cycles = (columns: number) => 1 + 0.13 * (columns - 1);

  it('grows with how often drafts are right', () => {
    const lengths = [0, 0.05, 0.3, 0.6, 1].map((rate) => draftLength(() => rate, 100, cycles));
    expect(lengths).toEqual([0, 0, 1, 3, 8]);
  });

  it('keeps to the room that there is, and to nothing where columns are not shared', () => {
    expect(draftLength(() => 1, 2, cycles)).toBe(2);
    expect(draftLength(() => 1, 0, cycles)).toBe(0);
    expect(
      draftLength(
        () => 0.9,
        8,
        (columns) => columns,
      ),
    ).toBe(0);
    expect(
      draftLength(
        () => 1,
        8,
        () => 0,
      ),
    ).toBe(0);
  });
});

/** Deeper, and what it computes is the same: the layers put on top add nothing, and cost what layers cost. */
const deepModel = loadModel(deepened(openGguf(fileSource(TINY_STORIES)), 8), {
  accelerator,
  contextLength: 160,
});
/** The same model in two bits: right about most tokens, and wrong about some. */
const draftModel = loadModel(openGguf(fileSource('models/tiny-stories-Q2_K.gguf')), {
  accelerator,
  contextLength: 100,
});

describe.each<[string, Partial<GenerateRequest>]>([
  ['prompt lookup', { promptLookup: true }],
  ['a draft model', { draftModel }],
])('decoding with %s', (_, speculation) => {
  it.each<[string, GenerateRequest]>([
    ['greedy', { prompt: ONCE, maxTokens: 40, sampling: GREEDY }],
    ['greedy on a repetitive text', { prompt: REPETITIVE, maxTokens: 40, sampling: GREEDY }],
    ['until the context is full', { prompt: REPETITIVE, sampling: GREEDY, ignoreEos: true }],
    ['with a stop string', { prompt: REPETITIVE, maxTokens: 60, sampling: GREEDY, stop: ['mat. The'] }],
    ['with penalties', { prompt: ONCE, maxTokens: 40, sampling: { repeatPenalty: 1.2, seed: 3 } }],
    ...[1, 2, 3, 4].map((seed): [string, GenerateRequest] => [
      `sampled with seed ${seed}`,
      { prompt: seed % 2 ? ONCE : REPETITIVE, maxTokens: 30, sampling: { temperature: 1, seed } },
    ]),
  ])('gives what plain decoding gives, to the bit: %s', (_, request) => {
    const plain = runPlain(request);
    const drafted = run({ ...request, ...speculation });
    expect(drafted.tokens).toEqual(plain.tokens);
    expect(drafted.result?.reason).toBe(plain.result?.reason);
    expect(drafted.result?.text).toBe(plain.result?.text);
  });

  it('beside other sequences changes none of them', () => {
    const alone = runPlain({ prompt: ONCE, maxTokens: 30, sampling: { seed: 5 } });
    const bench = new Bench(deepModel);
    const drafting = bench.submit({
      prompt: REPETITIVE,
      maxTokens: 30,
      sampling: GREEDY,
      ...speculation,
    });
    const beside = bench.submit({ prompt: ONCE, maxTokens: 30, sampling: { seed: 5 } });
    bench.run();
    expect(beside.received.tokens).toEqual(alone.tokens);
    expect(drafting.received.tokens).toEqual(
      runPlain({ prompt: REPETITIVE, maxTokens: 30, sampling: GREEDY }).tokens,
    );
  });

  it('never generates beyond what the client has room for', () => {
    const bench = new Bench(deepModel);
    const { received, generation } = bench.submit({
      prompt: REPETITIVE,
      maxTokens: 30,
      sampling: GREEDY,
      ...speculation,
      credit: 4,
    });
    bench.run();
    expect(received.tokens).toHaveLength(4);
    generation.grant(30);
    bench.run();
    expect(received.tokens).toEqual(runPlain({ prompt: REPETITIVE, maxTokens: 30, sampling: GREEDY }).tokens);
  });
});

const run = (request: GenerateRequest) => {
  const bench = new Bench(deepModel);
  const { received } = bench.submit(request);
  bench.run();
  return received;
};

/** What requests without drafts give, computed once for all ways to draft. */
const plainRuns = new Map<string, ReturnType<typeof run>>();
const runPlain = (request: GenerateRequest) => {
  const key = JSON.stringify(request);
  const received = plainRuns.get(key) ?? run(request);
  plainRuns.set(key, received);
  return received;
};

describe('prompt lookup', () => {
  it('takes little more than half the core cycles where the text repeats itself', () => {
    // Two tokens that outbid all others: what follows soon repeats itself, whatever the model thinks of them.
    const [on, the] = model.tokenizer.encode('on the');
    const request = {
      prompt: REPETITIVE,
      sampling: { ...GREEDY, logitBias: [[on, 50] as const, [the, 50] as const] },
      ignoreEos: true,
    };
    const decode = (promptLookup: boolean) =>
      run({ ...request, maxTokens: 49, promptLookup }).result!.cost.coreCycles -
      run({ ...request, maxTokens: 1, promptLookup }).result!.cost.coreCycles;
    expect(decode(true)).toBeLessThan(decode(false) / 1.7);
  });
});

describe('a draft model', () => {
  it('that is mostly right saves cycles, its own counted', () => {
    const request = { prompt: ONCE, maxTokens: 40, sampling: GREEDY };
    const plain = run(request).result!.cost.coreCycles;
    expect(run({ ...request, draftModel }).result!.cost.coreCycles).toBeLessThan(plain * 0.85);
  });

  it('takes a long prompt in steps that others hardly feel, and drafts then', () => {
    const prompt = [...REPETITIVE, ...REPETITIVE, ...REPETITIVE, ...REPETITIVE].slice(0, 130);
    expect(prompt).toHaveLength(130);
    const bench = new Bench(deepModel);
    // On a core of its own, so that its cycles are its own.
    const own = new Accelerator(openMockBoard({ ...loadBoardDescription('kv260'), timing: 'systemc' }));
    const small = loadModel(openGguf(fileSource('models/tiny-stories-Q2_K.gguf')), {
      accelerator: own,
      contextLength: 160,
    });
    const { received } = bench.submit({ prompt, maxTokens: 30, sampling: GREEDY, draftModel: small });
    // Catching up may cost as much as a plain step of the large model, and a draft comes on top.
    const most = deepModel.coreCycles(1) + 8 * small.coreCycles(1);
    let [steps, drafted] = [0, 0];
    for (; bench.engine.count > 0; steps++) {
      const before = small.cost().coreCycles;
      const tokens = received.tokens.length;
      bench.engine.step();
      expect(small.cost().coreCycles - before).toBeLessThanOrEqual(most);
      drafted += Math.max(0, received.tokens.length - tokens - 1);
    }
    expect(received.tokens).toEqual(run({ prompt, maxTokens: 30, sampling: GREEDY }).tokens);
    expect(steps).toBeGreaterThan(3);
    expect(drafted).toBeGreaterThan(0);
  });

  it('that costs as much as the model itself is not asked', () => {
    const bench = new Bench(draftModel);
    const { received } = bench.submit({ prompt: ONCE, maxTokens: 20, sampling: GREEDY, draftModel });
    const plain = bench.submit({ prompt: ONCE, maxTokens: 20, sampling: GREEDY });
    bench.run();
    expect(received.result!.cost.coreCycles).toBe(plain.received.result!.cost.coreCycles);
  });

  it.each([1, 2])('that fails %d times in a row because of the device fails nobody else', (count) => {
    const [first, second] = [ONCE, REPETITIVE].map((prompt) => ({ prompt, maxTokens: 12, sampling: GREEDY }));
    const metrics = new EngineMetrics();
    const bench = new Bench(deepModel, { metrics });
    const drafting = bench.submit({ ...first, draftModel }).received;
    const beside = bench.submit(second).received;
    while (drafting.tokens.length < 1) bench.engine.step();
    // What the next step begins with is a draft.
    board.injectFault({ name: 'dma-decode-error', count });
    bench.run();
    expect(beside.tokens).toEqual(run(second).tokens);
    if (count === 1) expect(drafting.tokens).toEqual(run(first).tokens);
    else expect(drafting.error).toMatchObject({ code: 'DRIVER_DMA_DECODE_ERROR', context: { tokens: 1 } });
    expect(metrics).toMatchObject({ faults: 1, recovered: 2 - count });
    expect(metrics.classes.interactive).toMatchObject({ finished: 3 - count, failed: count - 1 });
  });

  it('that has no room for another sequence leaves it to go on without', () => {
    const small = loadModel(openGguf(fileSource('models/tiny-stories-Q2_K.gguf')), {
      accelerator,
      contextLength: 100,
      // Two pages: those of a sequence that is longer than one.
      kvBytes: 2 * draftModel.kvPool.memory.layout.pageFrames * draftModel.kvPool.memory.layout.frameBytes,
    });
    const requests = [1, 2].map((seed) => ({ prompt: ONCE, maxTokens: 24, sampling: { seed } }));
    const bench = new Bench(deepModel);
    const drafting = requests.map((request) => bench.submit({ ...request, draftModel: small }).received);
    bench.run();
    expect(drafting.map(({ tokens }) => tokens)).toEqual(requests.map((request) => run(request).tokens));
    expect(small.kvPool.stats.used).toBe(0);
  });

  it('of another vocabulary is refused, and so is more than one way to draft', () => {
    const other = loadModel(syntheticGguf(() => GgmlType.Q3_K));
    const bench = new Bench(deepModel);
    expect(() => bench.submit({ prompt: ONCE, draftModel: other })).toThrow(/LLM_DRAFT_MODEL.*1000 tokens/);
    expect(() => bench.submit({ prompt: ONCE, draftModel, promptLookup: true })).toThrow(
      /LLM_REQUEST_INVALID/,
    );
  });
});
