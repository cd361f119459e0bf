import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type BoardDescription, loadBoardDescription } from '../../../../board/index.js';
import { Accelerator } from '../../../../driver/index.js';
import { fileSource, type GgufFile, openGguf } from '../../../../gguf/index.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { StepCost, stepShape } from '../../../../llm/step-cost/index.js';
import { openMockBoard } from '../../../../mock-device/index.js';

export const Z1 = loadBoardDescription('pynq-z1');
export const TIMINGS: readonly BoardDescription[] = [
  Z1,
  { ...Z1, unpack: 'hls' },
  { ...Z1, timing: 'systemc' },
];
export const STEPS = [
  [1, 1],
  [8, 8],
  [16, 0],
  [17, 3],
  [70, 1],
] as const;
const FAMILIES = join('test', 'fixtures', 'families');

/** A model of each family. */
export const FAMILY_FILES = readdirSync(FAMILIES).filter((file) => file.endsWith('.gguf'));
/** Those that are tried in short: windows, convolutions, experts, and K-quants. */
export const SHORT = /^(gemma3|lfm2|qwen3moe)-|^qwen2-d96-Q3/;

export function withLoaded(
  gguf: GgufFile,
  board: BoardDescription,
  use: (loaded: ReturnType<typeof loadModel>) => void,
) {
  const accelerator = new Accelerator(openMockBoard(board));
  const model = loadModel(gguf, { accelerator, contextLength: 32 });
  try {
    use(model);
  } finally {
    model.close();
    accelerator.close();
  }
}

/** Fails unless the cycles by the header are those of the loaded model, in every timing. */
export function costsThatOfLoaded(gguf: GgufFile): void {
  for (const board of TIMINGS)
    withLoaded(gguf, board, (model) => {
      const cost = new StepCost(stepShape(gguf), board);
      for (const [columns, logits] of STEPS)
        expect(cost.cycles(columns, logits)).toBe(model.coreCycles(columns, logits));
    });
}

/** The same of a family. */
export function familyCostsThatOfLoaded(file: string): void {
  costsThatOfLoaded(openGguf(fileSource(join(FAMILIES, file))));
}
