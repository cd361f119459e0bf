import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/index.js';
import { Accelerator } from '../../../../driver/index.js';
import { fileSource, GgmlType, openGguf } from '../../../../gguf/index.js';
import { KvLayout } from '../../../../llm/kv/layout.js';
import { kvShapeOfStage, modelShape, stageMemory } from '../../../../llm/memory/index.js';
import { kvShapeOf, readConfig } from '../../../../llm/model/config.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { stagePool } from '../../../../llm/stages/index.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { syntheticGguf } from '../models.js';

const Z1 = loadBoardDescription('pynq-z1');
const FAMILIES = join('test', 'fixtures', 'families');
const files = readdirSync(FAMILIES).filter((file) => file.endsWith('.gguf'));

it.each(files)(
  'keys and values of each stage of %s are told by its header, and pages are in common',
  (file) => {
    const gguf = openGguf(fileSource(join(FAMILIES, file)));
    const config = readConfig(gguf);
    const shape = modelShape(gguf);
    for (let cut = 1; cut < config.layers; cut++) {
      const ranges = [
        { from: 0, to: cut },
        { from: cut, to: config.layers },
      ];
      const stages = ranges.map((range) => ({ shape: kvShapeOfStage(shape, range), bytes: 1 << 20 }));
      for (const [i, range] of ranges.entries()) expect(stages[i]!.shape).toEqual(kvShapeOf(config, range));
      for (const type of ['f16', 'int8'] as const) {
        const pool = stagePool(stages, type);
        const layouts = stages.map((stage) => new KvLayout(stage.shape, type, pool));
        for (const layout of layouts) {
          expect(layout).toMatchObject({
            pageFrames: layouts[0]!.pageFrames,
            openFrames: layouts[0]!.openFrames,
          });
          expect(layout.tokensIn(pool.frames)).toBe(layouts[0]!.tokensIn(pool.frames));
          expect(layout.windowStart(100)).toBe(new KvLayout(shape, type).windowStart(100));
          expect(pool.frames * layout.frameBytes).toBeLessThanOrEqual(1 << 20);
        }
      }
    }
  },
);

it('refuses pages that have no place for what a stage has', () => {
  const common = { groups: { full: 1, windowed: 0 }, window: 0, keptRowFrames: 0, rowFrames: 0 };
  const shape = { layers: 2, heads: 4, kvHeads: 2, headDim: 8 };
  expect(() => new KvLayout({ ...shape, layerWindows: [0, 8] }, 'f16', common)).toThrow(
    /LLM_STAGE_UNSUPPORTED.*1 layers that see a window/,
  );
  const convolution = { layers: 1, taps: 3, width: 32 };
  expect(() => new KvLayout({ ...shape, convolution }, 'f16', common)).toThrow(
    /LLM_STAGE_UNSUPPORTED.*which has 0 and 0/,
  );
});

it('sums for each stage what it loads', () => {
  const gguf = syntheticGguf(() => GgmlType.Q3_K, { layers: 4, feedForward: 512 });
  const shape = modelShape(gguf);
  const request = { contextLength: 64 };
  const ranges = [
    { from: 0, to: 1 },
    { from: 1, to: 3 },
    { from: 3, to: 4 },
  ];
  for (const range of ranges) {
    const { lines, kvBytes, short } = stageMemory(shape, range, Z1, request, 0);
    const bytesOf = (start: string) => lines.find(({ what }) => what.startsWith(start))?.bytes ?? 0;
    const accelerator = new Accelerator(openMockBoard(Z1));
    const model = loadModel(gguf, { accelerator, range, ...request });
    expect(short).toBeUndefined();
    expect(bytesOf("this model's weights")).toBe(model.placement.totals.resident.bytes);
    expect(kvBytes).toBe(model.kvPool.askedBytes);
    expect(bytesOf('the vocabulary') > 0).toBe(model.isLast);
    model.close();
    accelerator.close();
  }
});
