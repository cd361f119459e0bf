import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { PynqLlmError } from '../errors/index.js';
import type { GenerateOptions, ResponseFormat } from '../sdk/index.js';
import { readFile } from './files.js';
import { collect, decimal, wholeNumber } from './options.js';

const maxTokens = wholeNumber(1, 1_048_576);
const temperature = decimal(0, 100);
const share = decimal(0, 1);

/** Other names that llama.cpp's tools and their users know; not in the help. */
const ALIASES = [
  { flag: 'temperature', of: 'temp', parse: temperature },
  { flag: 'n-predict', of: 'maxTokens', parse: maxTokens },
  { flag: 'predict', of: 'maxTokens', parse: maxTokens },
] as const;

/** Flags of generation as llama.cpp names them. */
export interface GenerationFlags {
  readonly maxTokens: number;
  readonly temp: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repeatPenalty: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly repeatLastN: number;
  readonly logitBias?: Readonly<Record<number, number>>;
  readonly stop?: readonly string[];
  readonly seed?: number;
  readonly logprobs: number;
  readonly ignoreEos?: boolean;
  readonly showEnd?: boolean;
  readonly promptLookup?: boolean;
  readonly jsonSchema?: string;
  readonly modelDraft?: string;
  readonly beams?: number;
  readonly lengthPenalty?: number;
  readonly special?: boolean;
  readonly class?: 'interactive' | 'batch';
  readonly priority?: number;
  readonly deadline?: number;
}

/** Adds the flags of generation; defaults are llama.cpp's. */
export function withGeneration(command: Command): Command {
  for (const { flag, of, parse } of ALIASES)
    command
      .addOption(new Option(`--${flag} <n>`).argParser(parse).hideHelp())
      .on(`option:${flag}`, (text: string) => command.setOptionValueWithSource(of, parse(text), 'cli'));
  return command
    .optionsGroup('Generation:')
    .option('-n, --max-tokens <n>', 'end after this many tokens', maxTokens, 256)
    .option('--temp <t>', 'temperature; 0 takes the likeliest token every time', temperature, 0.8)
    .option('--top-k <n>', 'sample from the n likeliest tokens; 0 for all', wholeNumber(), 40)
    .option('--top-p <p>', 'sample from the likeliest tokens that add up to p', share, 0.95)
    .option('--min-p <p>', 'drop tokens less likely than p times the likeliest', share, 0.05)
    .option(
      '--repeat-penalty <x>',
      'divide the logits of recent tokens by x; 1 for none',
      decimal(0.01, 100),
      1,
    )
    .option(
      '--frequency-penalty <x>',
      'take x from the logit of a recent token each time that it is there',
      decimal(-100, 100),
      0,
    )
    .option('--presence-penalty <x>', 'take x from the logit of every recent token', decimal(-100, 100), 0)
    .option(
      '--repeat-last-n <n>',
      'how many recent tokens the penalties look at; -1 for all',
      wholeNumber(-1, 1_048_576),
      64,
    )
    .option('--logit-bias <id=x>', 'add x to the logit of token id; repeatable', logitBias)
    .option('--stop <text>', 'end before this text; repeatable', collect)
    .addOption(
      new Option('-s, --seed <n>', 'seed of sampling; random when not given').argParser(wholeNumber()),
    )
    .option(
      '--logprobs <n>',
      'report the n likeliest tokens of every position (with --json)',
      wholeNumber(0, 64),
      0,
    )
    .option(
      '--prompt-lookup',
      'draft from the text so far: the same tokens, in fewer steps where it repeats itself',
    )
    .option(
      '-j, --json-schema <schema>',
      'answer in JSON that satisfies this JSON schema: the schema itself, or a file with it; {} for any JSON',
    )
    .option(
      '--model-draft <model>',
      'a smaller model of the same vocabulary that drafts: the same tokens, in fewer steps of the large one',
    )
    .option(
      '--beams <n>',
      'search for the likeliest continuation with n beams, 1 to 8; it comes at the end, nothing is drawn',
      wholeNumber(1, 8),
    )
    .option(
      '--length-penalty <x>',
      'beams are ranked by log-probability / length^x; 1 when left out',
      decimal(-10, 10),
    )
    .option('--ignore-eos', 'go on after an end of the text')
    .option(
      '--show-end',
      'show what the model file names as its end (pynq_llm.stop), and end at its end token only',
    )
    .addOption(
      new Option(
        '--class <class>',
        'batch lets interactive requests of others go first; interactive when not given',
      ).choices(['interactive', 'batch']),
    )
    .option('--priority <n>', 'within the class; 9 goes first, 5 when not given', wholeNumber(0, 9))
    .option('--deadline <seconds>', 'end with an error when it is not done by then', decimal(0.001, 86_400))
    .option('--special', 'read control tokens such as <|im_start|> in the prompt as tokens')
    .optionsGroup('Options:');
}

/** The flags as options of `model.generate`. */
export function toSampling(flags: GenerationFlags): GenerateOptions & { readonly seed: number } {
  return {
    maxTokens: flags.maxTokens,
    temperature: flags.temp,
    topK: flags.topK,
    topP: flags.topP,
    minP: flags.minP,
    repeatPenalty: flags.repeatPenalty,
    frequencyPenalty: flags.frequencyPenalty,
    presencePenalty: flags.presencePenalty,
    repeatLastN: flags.repeatLastN,
    logitBias: Object.entries(flags.logitBias ?? {}).map(([token, bias]) => ({ token: Number(token), bias })),
    stop: [...(flags.stop ?? [])],
    topLogprobs: flags.logprobs,
    ignoreEos: flags.ignoreEos ?? false,
    // Agents that do not know it have no such ends.
    ...(flags.showEnd ? { modelStop: false } : {}),
    promptLookup: flags.promptLookup ?? false,
    ...(flags.class === undefined ? {} : { class: flags.class }),
    ...(flags.priority === undefined ? {} : { priority: flags.priority }),
    ...(flags.deadline === undefined ? {} : { deadlineMs: 1_000 * flags.deadline }),
    ...(flags.beams === undefined
      ? {}
      : {
          beams: {
            width: flags.beams,
            ...(flags.lengthPenalty === undefined ? {} : { lengthPenalty: flags.lengthPenalty }),
          },
        }),
    responseFormat: flags.jsonSchema === undefined ? undefined : jsonSchema(flags.jsonSchema),
    seed: flags.seed ?? Math.floor(Math.random() * 2 ** 32),
  };
}

/**
 * The flags with one of them changed, by its name without dashes.
 * @param value `default` for what it is when not given; of a flag that is there or not, `on` or `off`
 * @throws PynqLlmError CLI_BAD_ARGUMENT
 */
export function changeFlag(flags: GenerationFlags, name: string, value: string): GenerationFlags {
  const command = withGeneration(new Command());
  command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
  const option = command.options.find(({ long }) => long === `--${name}`);
  if (option === undefined)
    throw new PynqLlmError('CLI_BAD_ARGUMENT', `There is no option ${JSON.stringify(name)}.`);
  if (value === 'default') return { ...flags, [option.attributeName()]: option.defaultValue };
  if (option.isBoolean()) {
    if (value !== 'on' && value !== 'off')
      throw new PynqLlmError('CLI_BAD_ARGUMENT', `${name} is on or off, not ${JSON.stringify(value)}.`);
    return { ...flags, [option.attributeName()]: value === 'on' };
  }
  try {
    command.parse([`--${name}`, value], { from: 'user' });
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause;
    throw new PynqLlmError('CLI_BAD_ARGUMENT', cause.message.replace(/^error: /, ''), { cause });
  }
  const given = Object.entries(command.opts()).filter(([key]) => command.getOptionValueSource(key) === 'cli');
  return { ...flags, ...Object.fromEntries(given) };
}

/** The names that `changeFlag` takes. */
export function settingNames(): string[] {
  return withGeneration(new Command())
    .options.filter(({ hidden }) => !hidden)
    .map((option) => option.name());
}

/** The flags that `changeFlag` can change, with their values. */
export function settings(flags: GenerationFlags): [name: string, value: string][] {
  const values = new Map<string, unknown>(Object.entries(flags));
  return withGeneration(new Command())
    .options.filter(({ hidden }) => !hidden)
    .map((option) => {
      const value = values.get(option.attributeName());
      const text = typeof value === 'object' ? JSON.stringify(value) : String(value ?? 'none');
      return [option.name(), option.isBoolean() ? (value ? 'on' : 'off') : text];
    });
}

/** A schema begins with a brace, as no sensible file's name does. @throws PynqLlmError CLI_FILE_UNREADABLE */
function jsonSchema(schemaOrFile: string): ResponseFormat {
  const isSchema = schemaOrFile.trimStart().startsWith('{');
  return { type: 'json-schema', schema: isSchema ? schemaOrFile : readFile(schemaOrFile).toString('utf8') };
}

function logitBias(text: string, before: Record<number, number> = {}): Record<number, number> {
  const match = /^(\d{1,9})=([-+]?[0-9.]+)$/.exec(text);
  if (!match) throw new InvalidArgumentError('It must be a token id and a number, such as 15=-2.5.');
  return { ...before, [Number(match[1])]: decimal(-1e6, 1e6)(match[2]!) };
}
