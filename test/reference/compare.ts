import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Accelerator } from '../../driver/accelerator.js';
import { fileSource, openGguf } from '../../gguf/index.js';
import type { CoreTypesSetting } from '../../llm/core-form/index.js';
import { Engine } from '../../llm/engine/engine.js';
import { loadModel } from '../../llm/model/load-model.js';
import type { Model } from '../../llm/model/model.js';
import { logSumExp } from '../../maths/index.js';

/** One prompt of `reference.json`: what llama.cpp computed (shared models, README). */
export interface ReferenceCase {
  readonly model: string;
  readonly prompt: string;
  readonly promptTokens: readonly number[];
  /** Ends with the end token where one came. */
  readonly greedyTokens: readonly number[];
  /** The prompt and the first greedy tokens. */
  readonly forcedTokens: readonly number[];
  /** [id, log-probability] of the five likeliest next tokens after each forced token. */
  readonly top5LogProbs: readonly (readonly (readonly [number, number])[])[];
}

/** How one model compares with llama.cpp over all its prompts. */
export interface ModelComparison {
  readonly model: string;
  readonly prompts: number;
  readonly logprobs: number;
  /** |log-probability - llama.cpp's| */
  readonly median: number;
  readonly worst: number;
  /** Greedy tokens that had to be equal, and those of all prompts that are. */
  readonly greedyRequired: number;
  readonly greedyEqual: number;
  readonly greedyTotal: number;
  /** What is out of tolerance, in words; empty where nothing is. */
  readonly failures: readonly string[];
}

/** llama.cpp's own builds differ by up to 0.1 on K-quants: one flipped 8-bit rounding of an activation is enough. */
const LIMITS = {
  quantised: { median: 0.02, worst: 0.25 },
  f16: { median: 0.01, worst: 0.01 },
  /** With these two, its builds differ by up to 0.021 on F16. */
  f16Unsteady: { median: 0.01, worst: 0.05 },
  /** Activations of matrices in another form are rounded to Q8_K, where llama.cpp has Q8_0 or halves. */
  padded: { median: 0.1, worst: 1.25 },
  /** Also those of routers, which then choose other experts now and then. */
  all: { median: 0.12, worst: 3.5 },
};

function limitsOf(file: string, floatActivations: boolean, coreTypes: CoreTypesSetting) {
  if (coreTypes !== 'exact') return LIMITS[coreTypes];
  if (!file.includes('f16') && !floatActivations) return LIMITS.quantised;
  return /^(gemma3|olmo2)/.test(file) ? LIMITS.f16Unsteady : LIMITS.f16;
}

/**
 * Where llama.cpp's two likeliest tokens are closer than this, either may be chosen, and what follows differs. Where matrices have
 * another form, what moves one of two by the worst that is allowed may move the other back.
 */
const GREEDY_GAPS = { exact: 0.3, padded: 2 * LIMITS.padded.worst, all: 2 * LIMITS.all.worst };

/** The cases of a `reference.json`, by model; none where the file is absent. */
export function readReference(path: string): Map<string, ReferenceCase[]> {
  if (!existsSync(path)) return new Map();
  const { cases } = JSON.parse(readFileSync(path, 'utf8')) as { cases: ReferenceCase[] };
  return groupByModel(cases);
}

/**
 * Compares one model file with its reference cases.
 * @param floatActivations of both: the reference was computed with every tensor as F32
 * @param coreTypes which matrices go to the core: others than `exact` have a tolerance of their own
 */
export function compareModel(
  folder: string,
  file: string,
  cases: readonly ReferenceCase[],
  accelerator: Accelerator | undefined,
  floatActivations = false,
  coreTypes: CoreTypesSetting = 'exact',
): ModelComparison {
  using source = fileSource(join(folder, file));
  const model = loadModel(openGguf(source), { accelerator, floatActivations, coreTypes });
  try {
    const differences = cases.flatMap((one) => logprobDifferences(model, one)).sort((a, b) => a - b);
    const greedy = cases.map((one) => compareGreedy(model, one, GREEDY_GAPS[coreTypes]));
    const median = differences[differences.length >> 1] ?? Number.NaN;
    const worst = differences.at(-1) ?? Number.NaN;
    const limits = limitsOf(file, floatActivations, coreTypes);
    return {
      model: file,
      prompts: cases.length,
      logprobs: differences.length,
      median,
      worst,
      greedyRequired: sum(greedy.map(({ required }) => required)),
      greedyEqual: sum(greedy.map(({ equal }) => equal)),
      greedyTotal: sum(cases.map(({ greedyTokens }) => greedyTokens.length)),
      failures: [
        ...(median <= limits.median ? [] : [`median ${median} is over ${limits.median}`]),
        ...(worst <= limits.worst ? [] : [`worst ${worst} is over ${limits.worst}`]),
        ...greedy.flatMap(({ failure }) => failure ?? []),
      ],
    };
  } finally {
    model.close();
  }
}

/** Teacher-forced: the reference's tokens are fed whatever the model would have chosen. */
function logprobDifferences(model: Model, { forcedTokens, top5LogProbs }: ReferenceCase): number[] {
  const cache = model.newCache(forcedTokens.length);
  const logits = forcedTokens.map(() => new Float32Array(model.config.vocabSize));
  model.forward(
    forcedTokens.map((token, position) => ({ cache, token, position, logits: logits[position] })),
  );
  cache.release();
  return top5LogProbs.flatMap((top, position) => {
    const normaliser = logSumExp(logits[position]);
    return top.map(([id, logprob]) => Math.abs(logits[position][id] - normaliser - logprob));
  });
}

interface GreedyComparison {
  readonly equal: number;
  readonly required: number;
  readonly failure: string | undefined;
}

/** How many greedy tokens have to be equal: up to the first near tie, as far as the reference has scored them. */
export function requiredGreedy(reference: ReferenceCase, gap = GREEDY_GAPS.exact): number {
  const { promptTokens, greedyTokens, forcedTokens, top5LogProbs } = reference;
  let required = 0;
  for (; required < greedyTokens.length; required++) {
    const after = promptTokens.length - 1 + required;
    const top = top5LogProbs[after];
    const isForced = required === 0 || forcedTokens[after] === greedyTokens[required - 1];
    if (top === undefined || !isForced || top[0][1] - top[1][1] < gap) break;
  }
  return required;
}

/** What the reference has not scored is only counted. */
function compareGreedy(model: Model, reference: ReferenceCase, gap: number): GreedyComparison {
  const { promptTokens, greedyTokens, prompt } = reference;
  const tokens = generateGreedily(model, promptTokens, greedyTokens.length);
  let equal = 0;
  while (equal < greedyTokens.length && tokens[equal] === greedyTokens[equal]) equal++;
  const required = requiredGreedy(reference, gap);
  const failure =
    equal >= required
      ? undefined
      : `"${prompt}": greedy token ${equal} is ${tokens[equal]}, not ${greedyTokens[equal]}`;
  return { equal, required, failure };
}

function generateGreedily(model: Model, prompt: readonly number[], maxTokens: number): number[] {
  const engine = new Engine(model);
  const ids: number[] = [];
  let failure: unknown;
  engine.submit(
    // llama.cpp knows nothing of `pynq_llm.stop`.
    { prompt, maxTokens, modelStop: false, sampling: { temperature: 0 } },
    {
      onToken: ({ id }) => ids.push(id),
      onDone: () => {},
      onError: (error) => {
        failure = error;
      },
    },
  );
  while (engine.hasWork) engine.step();
  if (failure !== undefined) throw failure;
  return ids;
}

/** A Markdown table for the documentation. */
export function markdownTable(rows: readonly ModelComparison[]): string {
  const head = [
    '| model | prompts | log-probabilities | median difference | worst difference | greedy tokens equal (of these required) | within tolerance |',
    '|---|---|---|---|---|---|---|',
  ];
  const body = rows.map((row) =>
    [
      '',
      row.model,
      row.prompts,
      row.logprobs,
      row.median.toFixed(5),
      row.worst.toFixed(3),
      `${row.greedyEqual} of ${row.greedyTotal} (${row.greedyRequired})`,
      row.failures.length === 0 ? 'yes' : 'no',
      '',
    ]
      .join(' | ')
      .trim(),
  );
  return [...head, ...body].join('\n');
}

function groupByModel(cases: readonly ReferenceCase[]): Map<string, ReferenceCase[]> {
  const groups = new Map<string, ReferenceCase[]>();
  for (const one of cases) groups.set(one.model, [...(groups.get(one.model) ?? []), one]);
  return groups;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
