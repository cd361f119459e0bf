import { type Command, InvalidArgumentError, Option } from 'commander';
import { collect, decimal, wholeNumber } from './options.js';

/** Flags of generation as llama.cpp names them. */
export interface GenerationFlags {
  readonly maxTokens: number;
  readonly temp: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repeatPenalty: number;
  readonly repeatLastN: number;
  readonly logitBias: Readonly<Record<number, number>>;
  readonly stop: readonly string[];
  readonly seed?: number;
  readonly logprobs: number;
  readonly ignoreEos?: boolean;
  readonly special?: boolean;
}

/** Adds the flags of generation; defaults are llama.cpp's. */
export function withGeneration(command: Command): Command {
  return command
    .option('-n, --max-tokens <n>', 'end after this many tokens', wholeNumber(1), 256)
    .option('--temp <t>', 'temperature; 0 takes the likeliest token every time', decimal, 0.8)
    .option('--top-k <n>', 'sample from the n likeliest tokens; 0 for all', wholeNumber(), 40)
    .option('--top-p <p>', 'sample from the likeliest tokens that add up to p', decimal, 0.95)
    .option('--min-p <p>', 'drop tokens less likely than p times the likeliest', decimal, 0.05)
    .option('--repeat-penalty <x>', 'divide the logits of recent tokens by x; 1 for none', decimal, 1)
    .option('--repeat-last-n <n>', 'how many recent tokens the penalty looks at', wholeNumber(), 64)
    .option('--logit-bias <id=x>', 'add x to the logit of token id; repeatable', logitBias, {})
    .option('--stop <text>', 'end before this text; repeatable', collect, [])
    .addOption(
      new Option('-s, --seed <n>', 'seed of sampling; random when not given').argParser(wholeNumber()),
    )
    .option(
      '--logprobs <n>',
      'report the n likeliest tokens of every position (with --json)',
      wholeNumber(),
      0,
    )
    .option('--ignore-eos', 'go on after an end-of-text token')
    .option('--special', 'read control tokens such as <|im_start|> in the prompt as tokens');
}

/** The flags as options of `model.generate`. */
export function toSampling(flags: GenerationFlags) {
  return {
    maxTokens: flags.maxTokens,
    temperature: flags.temp,
    topK: flags.topK,
    topP: flags.topP,
    minP: flags.minP,
    repetitionPenalty: flags.repeatPenalty,
    repetitionWindow: flags.repeatLastN,
    logitBias: Object.entries(flags.logitBias).map(([token, bias]) => ({ token: Number(token), bias })),
    stop: [...flags.stop],
    top: flags.logprobs,
    seed: flags.seed ?? Math.floor(Math.random() * 2 ** 32),
  };
}

function logitBias(text: string, before: Record<number, number>): Record<number, number> {
  const match = /^(\d{1,9})=([-+]?[0-9.]+)$/.exec(text);
  if (!match) throw new InvalidArgumentError('It must be a token id and a number, such as 15=-2.5.');
  return { ...before, [Number(match[1])]: decimal(match[2]!) };
}
