import { PynqLlmError } from '../../errors/index.js';

/** How tokens are chosen; names, meaning and defaults are llama.cpp's. */
export interface SamplingParameters {
  /** Divides the logits before the draw; 0 takes the likeliest token always. */
  readonly temperature: number;
  /** Keeps the k likeliest tokens; 0 keeps all. */
  readonly topK: number;
  /** Keeps the likeliest tokens that together reach this probability; 1 keeps all. */
  readonly topP: number;
  /** Keeps tokens at least this likely, relative to the likeliest; 0 keeps all. */
  readonly minP: number;
  /** Divides positive logits of tokens that were there lately, and multiplies negative ones; 1 changes none. */
  readonly repeatPenalty: number;
  /** Taken from a token's logit for every time that it was there lately; negative encourages repetition; 0 changes none. */
  readonly frequencyPenalty: number;
  /** Taken once from the logit of every token that was there lately; 0 changes none. */
  readonly presencePenalty: number;
  /** How many of the last tokens count as lately, prompt included; -1 counts all, 0 none. */
  readonly repeatLastN: number;
  /** Pairs of token id and what is added to its logit; -Infinity rules the token out. */
  readonly logitBias: readonly (readonly [id: number, bias: number])[];
  /** An integer from 0 to 2^53 - 1; the same seed draws the same tokens on every machine. */
  readonly seed: number;
  /** Whether log-probabilities are computed, which takes an exponential of every logit. */
  readonly logprobs: boolean;
  /** How many of the likeliest tokens are reported beside the one chosen. */
  readonly topLogprobs: number;
}

/** Parameters as a caller gives them: what is left out has its default. */
export type SamplingOptions = {
  readonly [Name in keyof SamplingParameters]?: SamplingParameters[Name] | undefined;
};

export const DEFAULT_SAMPLING: SamplingParameters = {
  temperature: 0.8,
  topK: 40,
  topP: 0.95,
  minP: 0.05,
  repeatPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  repeatLastN: 64,
  logitBias: [],
  seed: 0,
  logprobs: true,
  topLogprobs: 0,
};

/** Finite biases beyond this change nothing any more. */
const LARGEST_BIAS = 1e6;

/**
 * Completes and checks sampling options.
 *
 * @param vocabSize tokens in the vocabulary
 * @throws PynqLlmError LLM_SAMPLING_PARAMETER
 */
export function checkSampling(options: SamplingOptions, vocabSize: number): SamplingParameters {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const parameters: SamplingParameters = { ...DEFAULT_SAMPLING, ...Object.fromEntries(given) };
  checkRange('temperature', parameters.temperature, 0, 100);
  checkInteger('topK', parameters.topK, 0, Number.MAX_SAFE_INTEGER);
  checkRange('topP', parameters.topP, 0, 1);
  checkRange('minP', parameters.minP, 0, 1);
  checkRange('repeatPenalty', parameters.repeatPenalty, 0.01, 100);
  checkRange('frequencyPenalty', parameters.frequencyPenalty, -100, 100);
  checkRange('presencePenalty', parameters.presencePenalty, -100, 100);
  checkInteger('repeatLastN', parameters.repeatLastN, -1, Number.MAX_SAFE_INTEGER);
  checkInteger('seed', parameters.seed, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('topLogprobs', parameters.topLogprobs, 0, vocabSize);
  for (const [id, bias] of parameters.logitBias) {
    checkInteger('logitBias id', id, 0, vocabSize - 1);
    if (bias !== Number.NEGATIVE_INFINITY) checkRange('logitBias value', bias, -LARGEST_BIAS, LARGEST_BIAS);
  }
  return parameters;
}

function checkInteger(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value)) throw outOfRange(name, value, `a whole number from ${least} to ${most}`);
  checkRange(name, value, least, most);
}

function checkRange(name: string, value: number, least: number, most: number): void {
  if (!(value >= least && value <= most)) throw outOfRange(name, value, `from ${least} to ${most}`);
}

function outOfRange(parameter: string, value: number, range: string): PynqLlmError {
  return new PynqLlmError('LLM_SAMPLING_PARAMETER', `${parameter} is ${value}; it has to be ${range}.`, {
    context: { parameter, value: String(value) },
  });
}
