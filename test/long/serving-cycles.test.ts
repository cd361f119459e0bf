import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../board/description-file.js';
import { Accelerator } from '../../driver/accelerator.js';
import { TINY_LLAMA_1B } from '../../gguf/index.js';
import type { GenerateRequest } from '../../llm/engine/request.js';
import { loadModel } from '../../llm/model/load-model.js';
import { openMockBoard } from '../../mock-device/index.js';
import { Bench, GREEDY, syntheticGguf } from '../unit/llm/models.js';

/**
 * TinyLlama-1.1B in Q3_K_S with 2 of its 22 layers, and as much less of its vocabulary, so that every matrix has its share of
 * the whole. Cycles are those of the mock's clock, the same on every machine.
 */
const { dimensions, typeOf } = TINY_LLAMA_1B;

/** What is worth how much, by the core's timing: at least so many times as cheap a token, at most so many steps' cost. */
const TIMINGS = [
  { timing: 'synthesised', ofEight: 1.3, promptSteps: 43, lookup: 1 },
  { timing: 'systemc', ofEight: 4, promptSteps: 9.5, lookup: 1.8 },
] as const;

describe.each(TIMINGS)(
  'serving a model of TinyLlama’s dimensions, in core cycles of the $timing timing',
  (timed) => {
    const accelerator = new Accelerator(
      openMockBoard({ ...loadBoardDescription('kv260'), timing: timed.timing }),
    );
    const model = loadModel(
      syntheticGguf(typeOf, { ...dimensions, layers: 2, vocabulary: 2910, contextLength: 256 }),
      { accelerator, contextLength: 256 },
    );

    function run(requests: readonly GenerateRequest[]) {
      const bench = new Bench(model, { maxSequences: 8 });
      for (const request of requests) bench.submit({ sampling: GREEDY, ignoreEos: true, ...request });
      const before = model.cost().coreCycles;
      bench.run();
      return model.cost().coreCycles - before;
    }

    /** Cycles of a token after the first ones. */
    function decode(request: (maxTokens: number) => GenerateRequest[]): number {
      return (run(request(10)) - run(request(2))) / 8;
    }

    const step = decode((maxTokens) => [{ prompt: [1, 100], maxTokens }]);

    it('eight sequences have their share of what loading weights once saves', () => {
      const eight = decode((maxTokens) =>
        Array.from({ length: 8 }, (_, i) => ({ prompt: [1, 200 + i], maxTokens })),
      );
      expect((8 * step) / eight).toBeGreaterThanOrEqual(timed.ofEight);
    });

    it('a prompt of 64 tokens costs little more than its computation', () => {
      const prompt = Array.from({ length: 64 }, (_, i) => 100 + 7 * i);
      expect(run([{ prompt, maxTokens: 1 }]) / step).toBeLessThanOrEqual(timed.promptSteps);
    });

    it('four answers to a prompt cost little more than one: the prompt is computed once', () => {
      const answers = (count: number, first: number) =>
        run(
          Array.from({ length: count }, () => ({
            prompt: Array.from({ length: 200 }, (_, i) => first + i),
            maxTokens: 4,
          })),
        );
      expect(answers(4, 1500) / answers(1, 1800)).toBeLessThanOrEqual(1.3);
    });

    it('prompt lookup makes a repetitive text cheaper', () => {
      // The bias makes a model of random weights repeat itself as a real one does in lists, code and quotations.
      const logitBias = [11, 12].map((id) => [id, 60] as const);
      const request = (promptLookup: boolean) => (maxTokens: number) => [
        { prompt: [1, 11, 12], maxTokens: 4 * maxTokens, promptLookup, sampling: { ...GREEDY, logitBias } },
      ];
      expect(decode(request(false)) / decode(request(true))).toBeGreaterThanOrEqual(timed.lookup);
    });

    it.each([8, 200])(
      'the first token after a prompt of %i comes at most two steps later where batch work fills the board',
      (length) => {
        const stepsToFirst = (isBusy: boolean) => {
          // Each its own: what was computed once would be shared.
          const prompt = Array.from({ length }, (_, i) => (isBusy ? 1000 : 50) + i);
          const bench = new Bench(model, { maxSequences: 8 });
          const batch = {
            prompt: Array.from({ length: 24 }, (_, i) => 300 + i),
            maxTokens: 60,
            sampling: GREEDY,
          };
          for (let i = 0; isBusy && i < 16; i++)
            bench.submit({ ...batch, ignoreEos: true }, { class: 'batch' });
          for (let i = 0; isBusy && i < 6; i++) bench.engine.step();
          const { received } = bench.submit({ prompt, maxTokens: 1, sampling: GREEDY });
          let steps = 0;
          for (; received.tokens.length === 0; steps++) bench.engine.step();
          return steps;
        };
        expect(stepsToFirst(true)).toBeLessThanOrEqual(stepsToFirst(false) + 2);
      },
    );
  },
);
