import { describe, expect, it } from 'vitest';
import {
  SMALL,
  syntheticHeader,
  syntheticModel,
  TINY_LLAMA_Q3_K_S,
} from '../../../../bench/synthetic-model.js';
import { Accelerator } from '../../../../driver/index.js';
import { fileSource, GgmlType, openGguf } from '../../../../gguf/index.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { StepCost, stepShape } from '../../../../llm/step-cost/index.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { syntheticGguf } from '../models.js';
import {
  costsThatOfLoaded,
  FAMILY_FILES,
  familyCostsThatOfLoaded,
  SHORT,
  STEPS,
  TIMINGS,
  withLoaded,
  Z1,
} from './loaded-costs.js';

describe('the cycles of a step from a header alone', () => {
  it('are what the mock counts, and the layers of all stages add up to them', () => {
    const gguf = openGguf(fileSource(syntheticModel(SMALL)));
    const cost = new StepCost(stepShape(syntheticHeader(SMALL)), Z1);
    withLoaded(gguf, Z1, (model) => {
      const logits = Array.from({ length: 4 }, () => new Float32Array(model.config.vocabSize));
      const cache = model.newCache();
      const before = model.cost().coreCycles;
      model.forward(
        logits.map((of, i) => ({ cache, token: i + 1, position: i, ...(i > 1 && { logits: of }) })),
      );
      expect(model.cost().coreCycles - before).toBe(cost.cycles(4, 2));
    });
    const stages = [
      { from: 0, to: 1 },
      { from: 1, to: 2 },
    ];
    expect(stages.reduce((sum, range) => sum + cost.cycles(4, 2, range), 0)).toBe(cost.cycles(4, 2));
  });

  it('of a stage are what the mock counts more for a model with that layer than without', () => {
    const counted = [1, 2].map((layers) => {
      const shape = { ...SMALL, name: `small-${layers}`, dimensions: { ...SMALL.dimensions, layers } };
      let cycles = 0;
      withLoaded(openGguf(fileSource(syntheticModel(shape))), Z1, (model) => {
        const logits = new Float32Array(model.config.vocabSize);
        model.forward([{ cache: model.newCache(), token: 1, position: 0, logits }]);
        cycles = model.cost().coreCycles;
      });
      return cycles;
    });
    const cost = new StepCost(stepShape(syntheticHeader(SMALL)), Z1);
    expect(counted[1]! - counted[0]!).toBe(cost.cycles(1, 1, { from: 0, to: 1 }));
    expect(counted[0]).toBe(cost.cycles(1, 1, { from: 1, to: 2 }));
  });

  it.each(TIMINGS)(
    'of each of several stages are what its mock counts when it computes its part ($timing, $unpack)',
    (board) => {
      const gguf = syntheticGguf(() => GgmlType.Q3_K, { layers: 4, feedForward: 512 });
      const cost = new StepCost(stepShape(gguf), board);
      const stages = [
        { from: 0, to: 1 },
        { from: 1, to: 3 },
        { from: 3, to: 4 },
      ].map((range) => {
        const accelerator = new Accelerator(openMockBoard(board));
        return { range, accelerator, model: loadModel(gguf, { accelerator, range }) };
      });
      for (const { model } of stages)
        expect(model.placement.tensors.map(({ placement }) => placement)).not.toContain('staged');
      const logits = new Float32Array(stages[0]!.model.config.vocabSize);
      for (const [columns, wanted] of [...STEPS.slice(0, 4), [64, 1] as const]) {
        let hidden: Float32Array | undefined;
        for (const { range, model } of stages) {
          const cache = model.newCache();
          const step = Array.from({ length: columns }, (_, position) => ({
            cache,
            token: 3 + position,
            position,
            ...(position >= columns - wanted && { logits }),
          }));
          model.extend(step);
          const before = model.cost().coreCycles;
          hidden = model.compute(step, hidden);
          expect(model.cost().coreCycles - before).toBe(cost.cycles(columns, wanted, range));
          expect(model.coreCycles(columns, wanted)).toBe(cost.cycles(columns, wanted, range));
          cache.release();
        }
      }
      for (const { model, accelerator } of stages) {
        model.close();
        accelerator.close();
      }
    },
  );

  // The other families: test/long.
  it.each(FAMILY_FILES.filter((file) => SHORT.test(file)))(
    'of %s are those of the loaded model, in every timing',
    familyCostsThatOfLoaded,
  );

  it('of the bundled model are those of the loaded one, whose last layer is cut short', () => {
    costsThatOfLoaded(openGguf(fileSource('models/tiny-stories-Q3_K_M.gguf')));
  });

  it('of TinyLlama-1.1B Q3_K_S are those of the manual', () => {
    const shape = stepShape(syntheticHeader(TINY_LLAMA_Q3_K_S));
    expect(shape.layers).toHaveLength(22);
    expect(new StepCost(shape, Z1).cycles(1) / 1e6).toBeCloseTo(107.57, 1);
    expect(new StepCost(shape, { ...Z1, timing: 'systemc' }).cycles(1) / 1e6).toBeCloseTo(34.14, 1);
  });
});
