import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadBoardDescription } from '../../board/description-file.js';
import { Accelerator } from '../../driver/accelerator.js';
import { CORE_WORDS, coreTypeOf, fileSource, openGguf, SUPER_BLOCK } from '../../gguf/index.js';
import { Engine } from '../../llm/engine/engine.js';
import { modelShape } from '../../llm/memory/index.js';
import { loadModel } from '../../llm/model/load-model.js';
import type { Model } from '../../llm/model/model.js';
import { logSumExp } from '../../maths/index.js';
import { openMockBoard } from '../../mock-device/index.js';
import { quantizeModel } from '../../sdk/quantize-model.js';

/*
 * What a budget chooses beside the mixture of the same size: the table of docs/quantize.md.
 *
 *     node dist/test/reference/budget-main.js [--model F16.gguf]
 *
 * The F16 model tells stories (temperature 1, fixed seeds); of each quantised file, perplexity on them and the mean KL divergence
 * of its distributions from the F16 model's.
 */

const MIXTURES = ['Q2_K', 'Q3_K_S', 'Q3_K_M', 'Q4_K_S', 'Q4_K_M', 'Q5_K_M'];
const STORIES = 16;
const TOKENS = 96;

const { values } = parseArgs({
  options: { model: { type: 'string', default: join('..', 'shared', 'models', 'tiny-stories-f16.gguf') } },
});
const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-budget-'));
try {
  await compare(values.model, join(folder, 'made.gguf'));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function compare(source: string, made: string): Promise<void> {
  const stories = withModel(source, tellStories);
  const exact = withModel(source, (model) => stories.map((story) => distributions(model, story)));
  const measure = () => {
    const bytes = dmaBytes(made);
    const { perplexity, divergence } = withModel(made, (model) => distance(model, stories, exact));
    return { bytes, text: `${perplexity.toFixed(3)} | ${divergence.toFixed(5)}` };
  };
  process.stdout.write(
    '| DMA memory | mixture | perplexity | KL divergence | perplexity within the budget | KL divergence |\n',
  );
  process.stdout.write('|---|---|---|---|---|---|\n');
  for (const type of MIXTURES) {
    await quantizeModel(source, made, { type, force: true });
    const mixture = measure();
    await quantizeModel(source, made, { type, budgetBytes: mixture.bytes, force: true });
    const budget = measure();
    process.stdout.write(
      `| ${(mixture.bytes / 2 ** 20).toFixed(2)} MiB | ${type} | ${mixture.text} | ${budget.text} |\n`,
    );
  }
}

function withModel<T>(path: string, use: (model: Model) => T): T {
  using source = fileSource(path);
  const accelerator = new Accelerator(openMockBoard(loadBoardDescription('pynq-z1')));
  const model = loadModel(openGguf(source), { accelerator });
  try {
    return use(model);
  } finally {
    model.close();
    accelerator.close();
  }
}

/** Token ids of stories, each from the prompt of its beginning alone. */
function tellStories(model: Model): number[][] {
  const engine = new Engine(model);
  return Array.from({ length: STORIES }, (_, seed) => {
    const ids = [...model.tokenizer.encode('Once upon a time')];
    engine.submit(
      { prompt: [...ids], maxTokens: TOKENS, sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, seed } },
      {
        onToken: ({ id }) => ids.push(id),
        onDone: () => {},
        onError: (error) => {
          throw error;
        },
      },
    );
    while (engine.hasWork) engine.step();
    return ids;
  });
}

/** Log-probabilities of the next token after each. */
function distributions(model: Model, tokens: readonly number[]): Float32Array[] {
  const cache = model.newCache(tokens.length);
  const logits = tokens.map(() => new Float32Array(model.config.vocabSize));
  model.forward(tokens.map((token, position) => ({ cache, token, position, logits: logits[position] })));
  cache.release();
  return logits.map((values) => {
    const normaliser = logSumExp(values);
    return values.map((value) => value - normaliser);
  });
}

/** exp of the mean negative log-probability, and the mean of the sums of p log (p / q). */
function distance(
  model: Model,
  stories: readonly (readonly number[])[],
  exact: readonly (readonly Float32Array[])[],
): { perplexity: number; divergence: number } {
  let [surprise, divergence, positions] = [0, 0, 0];
  for (const [i, story] of stories.entries()) {
    const found = distributions(model, story);
    for (let at = 0; at + 1 < story.length; at++) {
      surprise -= found[at][story[at + 1]];
      divergence += exact[i][at].reduce((sum, logP, id) => sum + Math.exp(logP) * (logP - found[at][id]), 0);
      positions++;
    }
  }
  return { perplexity: Math.exp(surprise / positions), divergence: divergence / positions };
}

/** Of all matrices, blocks as the core reads them: what a budget counts. */
function dmaBytes(path: string): number {
  using source = fileSource(path);
  return modelShape(openGguf(source)).matrices.reduce((sum, { type, rows, columns }) => {
    const coreType = coreTypeOf(type);
    return coreType === undefined
      ? sum
      : sum + 4 * CORE_WORDS[coreType] * rows * Math.ceil(columns / SUPER_BLOCK);
  }, 0);
}
