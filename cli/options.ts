import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CoreTypes, KvType, LoadSettings } from '../sdk/index.js';
import { withOneDevice, withSeveralDevices } from './boards/devices.js';

export type { DeviceOptions, DevicesOptions } from './boards/devices.js';

import { packageFile } from './package-files.js';

export const MIB = 2 ** 20;

const KV_TYPES: readonly KvType[] = ['f16', 'int8'];
const CORE_TYPES: readonly CoreTypes[] = ['exact', 'padded', 'all'];

/** Heading of these options in the help. */
const DEVICE_GROUP = 'Device:';

/** Adds `--device` and `--token` with their environment variables. */
export function withDevice(command: Command): Command {
  return withAccess(withOneDevice(command.optionsGroup(DEVICE_GROUP)));
}

/** Adds `--device`, which may be repeated, `--all` and `--token`. */
export function withDevices(command: Command): Command {
  return withAccess(withSeveralDevices(command.optionsGroup(DEVICE_GROUP)));
}

function withAccess(command: Command): Command {
  return command
    .addOption(new Option('--token <token>', 'access token of a listening agent').env('PYNQ_LLM_TOKEN'))
    .addOption(
      new Option(
        '--tls-fingerprint <sha256>',
        "the SHA-256 of a wss:// agent's certificate, from its log: nobody else is talked to",
      ).env('PYNQ_LLM_TLS_FINGERPRINT'),
    )
    .addOption(threadsOption('on mock:, threads that compute beside the device, its own among them'))
    .optionsGroup('Options:');
}

/** `--threads` */
export function threadsOption(what: string): Option {
  return new Option('-t, --threads <n>', `${what}; as many as the CPU has cores when left out`).argParser(
    wholeNumber(1, 64),
  );
}

/** `--max-silent`, in seconds. */
export function maxSilentOption(): Option {
  return new Option(
    '--max-silent <seconds>',
    'refuse answers that are not streamed and are likely to take longer; 0 for none, 50 when left out',
  ).argParser(decimal(0, 86_400));
}

/** Milliseconds of seconds, where they are given. */
export function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000;
}

/** `--model`: without it the bundled model, which `npm start` runs. */
export function modelOption(): Option {
  return new Option(
    '-m, --model <model>',
    'a .gguf file, or the name or digest of a model on the board',
  ).default(packageFile('models', 'tiny-stories-Q3_K_M.gguf'), 'the bundled tiny-stories-Q3_K_M.gguf');
}

/** Adds `--json`. */
export function withJson(command: Command, shape: string): Command {
  return command.option('--json', `print ${shape}, for programs`);
}

/** A whole number from `least` to `most`. */
export function wholeNumber(least = 0, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const upTo = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return (text) => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`It must be a whole number ${upTo}.`);
    return value;
  };
}

/** How a command loads its model. */
export interface LoadFlags {
  readonly ctxSize?: number;
  readonly kvType?: KvType;
  readonly kvMemory?: number;
  readonly maxColumns?: number;
  readonly coreTypes?: CoreTypes | undefined;
  readonly exactTypes?: boolean | undefined;
  readonly staged?: boolean;
}

/** Adds the flags of how a model is loaded. */
export function withLoad(command: Command): Command {
  return command
    .optionsGroup('Loading:')
    .option(
      '-c, --ctx-size <n>',
      "tokens of context; the model's own when left out",
      wholeNumber(1, 1_048_576),
    )
    .addOption(kvTypeOption())
    .addOption(kvMemoryOption())
    .option(
      '--max-columns <n>',
      'columns computed together: fewer take less memory; 64 when left out',
      wholeNumber(1, 64),
    )
    .addOption(coreTypesOption())
    .addOption(exactTypesOption())
    .option('--staged', 'read weights that DMA memory has no room for from storage, for each token: slow')
    .option('--no-staged', 'refuse a model that needs that; boards do unless told otherwise, a mock does not')
    .optionsGroup('Options:');
}

/** The flags as the SDK takes them. */
export function loadSettings({
  ctxSize,
  kvType,
  kvMemory,
  maxColumns,
  staged,
  ...types
}: LoadFlags): LoadSettings {
  return {
    contextLength: ctxSize,
    kvType,
    kvBytes: kvMemory === undefined ? undefined : kvMemory * MIB,
    maxColumns,
    coreTypes: coreTypesOf(types),
    staged,
  };
}

/** What both flags say together. */
export function coreTypesOf({
  coreTypes,
  exactTypes,
}: Pick<LoadFlags, 'coreTypes' | 'exactTypes'>): CoreTypes | undefined {
  return exactTypes ? 'exact' : coreTypes;
}

/** `--core-types` */
export function coreTypesOption(): Option {
  return new Option(
    '--core-types <which>',
    'matrices for the core: exact, those that it takes as they are; padded, also rows that are no whole super-blocks; all; padded when left out',
  ).choices(CORE_TYPES);
}

/** `--exact-types` */
export function exactTypesOption(): Option {
  return new Option(
    '--exact-types',
    "short for --core-types exact: llama.cpp's arithmetic for all other types",
  ).conflicts('coreTypes');
}

/** `--kv-type` */
export function kvTypeOption(): Option {
  return new Option(
    '--kv-type <type>',
    "how keys and values are kept; the agent's setting when left out",
  ).choices(KV_TYPES);
}

/** `--kv-memory` */
export function kvMemoryOption(): Option {
  return new Option(
    '--kv-memory <MiB>',
    'memory for keys and values of all sequences; from what is left when left out',
  ).argParser(wholeNumber(1, 4095));
}

/** A decimal number from `least` to `most`. */
export function decimal(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`It must be a number from ${least} to ${most}.`);
    return value;
  };
}

/** Collects a repeatable option. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** `1,2,3` as token ids. */
export function tokenIds(text: string): number[] {
  const parts = text.split(',').map((part) => part.trim());
  if (!parts.every((part) => /^\d{1,9}$/.test(part)))
    throw new InvalidArgumentError('It must be token ids with commas between them, such as 1,15043,29892.');
  return parts.map(Number);
}
