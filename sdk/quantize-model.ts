import { randomBytes } from 'node:crypto';
import { existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { z } from 'zod';
import { PynqLlmError } from '../errors/index.js';
import {
  BLOCK_FORMATS,
  type ByteSource,
  coreTypeOf,
  fileSink,
  fileSource,
  modelSource,
} from '../gguf/index.js';
import {
  type Candidate,
  chooseWithin,
  exactRule,
  ImportanceMatrix,
  isQuantized,
  type MeasuredTensor,
  type Mixture,
  measureMatrices,
  mixtureOf,
  parseTensorRule,
  planQuantization,
  type QuantizeOptions,
  type QuantizePlan,
  quantizeFile,
  tensorTypeOf,
  unmeasuredBytes,
} from '../quantize/index.js';
import { requireArguments } from './arguments.js';

/** How a model is quantised. Names of types are llama-quantize's. */
export interface QuantizeModelOptions {
  /** The mixture, such as `Q3_K_S`, `Q4_K_M` or `Q8_0`. */
  readonly type: string;
  /** Types of single tensors, `PATTERN=TYPE`; the first that matches holds. */
  readonly tensorTypes?: readonly string[];
  /** One type for all tensors instead of a mixture. */
  readonly pure?: boolean;
  /**
   * Rows that are no whole super-blocks are padded with zeros, so that they can have the core's types; llama.cpp cannot read such a
   * file.
   */
  readonly pad?: boolean;
  /** Type of `output.weight`, such as `Q6_K`. */
  readonly outputTensorType?: string;
  /** Type of the embedding. */
  readonly tokenEmbeddingType?: string;
  /** Path of an importance matrix, as llama-imatrix writes it (GGUF). */
  readonly imatrix?: string;
  /**
   * Bytes of a board's DMA memory that all matrices may take: types are chosen tensor by tensor, by measured error. Types that are
   * given hold, and so does `type` for rows that are no whole super-blocks unless they are padded; what those take is counted.
   */
  readonly budgetBytes?: number;
  /** Replaces a file that is there. */
  readonly force?: boolean;
  /** Only says what would be made. */
  readonly dryRun?: boolean;
  /** Ends the work; what was written is removed. */
  readonly signal?: AbortSignal;
  /** Called after each tensor that was measured for a budget. */
  readonly onMeasure?: (done: number, all: number, tensor: string) => void;
  /** Called after each piece of a tensor. @param done bytes of the source @param all all of them @param tensor its name */
  readonly onProgress?: (done: number, all: number, tensor: string) => void;
}

/** What a matrix would cost and lose in one of the core's types. */
export interface QuantizeCandidate {
  /** The type's name. */
  readonly type: string;
  /** Bytes of DMA memory. */
  readonly bytes: number;
  /** Squared error over squared values, of sampled rows. */
  readonly error: number;
}

/** What was made, or would be. */
export interface QuantizeResult {
  /** The mixture's name. */
  readonly type: string;
  /** Bytes of source and result. */
  readonly bytesBefore: number;
  /** Bytes of the result. */
  readonly bytesAfter: number;
  /** The tensors in the file's order. */
  readonly tensors: readonly {
    /** Its name. */
    readonly name: string;
    /** Lengths, that of a row first. */
    readonly shape: readonly number[];
    /** Its type in the source. */
    readonly from: string;
    /** Its type in the result. */
    readonly to: string;
    /** Bytes in the source. */
    readonly bytesBefore: number;
    /** Bytes in the result. */
    readonly bytesAfter: number;
  }[];
  /** What types were chosen by, where a budget was given. */
  readonly measured?: readonly {
    /** The tensor's name. */
    readonly name: string;
    /** What was chosen. */
    readonly chosen: string;
    /** The core's types, the smallest first. */
    readonly candidates: readonly QuantizeCandidate[];
  }[];
}

const ARGUMENTS = z.object({
  input: z.string(),
  output: z.string(),
  options: z.looseObject({ type: z.string() }),
});

/**
 * Writes a quantised copy of a model file, byte for byte as llama-quantize does. Takes some MiB of memory whatever the size; the file
 * has its name once it is whole.
 *
 * @param input a .gguf file in F32, F16, BF16 or Q8_0
 * @param output where the result goes
 * @throws PynqLlmError QUANTIZE_*, GGUF_*; the signal's reason
 */
export async function quantizeModel(
  input: string,
  output: string,
  options: QuantizeModelOptions,
): Promise<QuantizeResult> {
  requireArguments({ input, output, options }, ARGUMENTS);
  const mixture = mixtureOf(options.type);
  const { signal, onProgress, pure, pad } = options;
  requireBlocks(mixture, options);
  const importance = options.imatrix === undefined ? undefined : readImportance(options.imatrix);
  using source = modelSource(input);
  const rules = (options.tensorTypes ?? []).map(parseTensorRule);
  const given = {
    ...(pure !== undefined && { pure }),
    ...(pad !== undefined && { pad }),
    ...(importance !== undefined && { importance }),
    ...(signal !== undefined && { signal }),
    ...typeOption('outputType', options.outputTensorType),
    ...typeOption('embeddingType', options.tokenEmbeddingType),
    rules,
  };
  const measured =
    options.budgetBytes === undefined
      ? undefined
      : await measure(source, options.budgetBytes, mixture, given, options);
  const choice = {
    ...given,
    rules: [...rules, ...(measured ?? []).map(({ name, candidate }) => exactRule(name, candidate.type))],
  };
  if (options.dryRun) return resultOf(planQuantization(source, mixture, choice), source.size, measured);
  requireWritable(source.files, output, options.force === true);
  // Of a name that nobody else has: what is there may be somebody's.
  const partial = `${output}.${randomBytes(4).toString('hex')}.partial`;
  try {
    using sink = fileSink(partial);
    const plan = await quantizeFile(source, sink, mixture, {
      ...choice,
      onProgress: ({ bytesDone, bytesAll, tensor }) => onProgress?.(bytesDone, bytesAll, tensor),
    });
    sink.close();
    renameSync(partial, output);
    return resultOf(plan, source.size, measured);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

/**
 * Types of single tensors are chosen among types with blocks: F16 and the like are for all or none. Rows are padded for the core's.
 */
function requireBlocks(
  { name, type }: Mixture,
  { tensorTypes = [], budgetBytes, pad }: QuantizeModelOptions,
): void {
  if (pad === true && coreTypeOf(type) === undefined)
    throw new PynqLlmError('QUANTIZE_TYPE', `Rows are padded for Q2_K to Q6_K, not for ${name}.`, {
      context: { type: name },
    });
  if (isQuantized(type) || (tensorTypes.length === 0 && budgetBytes === undefined)) return;
  throw new PynqLlmError('QUANTIZE_BAD_RULE', `${name} takes no rules for single tensors and no budget.`, {
    context: { type: name },
  });
}

function readImportance(path: string): ImportanceMatrix {
  using source = fileSource(path);
  return ImportanceMatrix.read(source, basename(path));
}

function typeOption<K extends string>(key: K, name: string | undefined) {
  if (name === undefined) return {};
  const type = tensorTypeOf(name);
  if (type !== undefined) return { [key]: type };
  throw new PynqLlmError('QUANTIZE_TYPE', `There is no tensor type ${JSON.stringify(name)}.`, {
    context: { type: name },
  });
}

/** @param sources files of the model that is read: none of them may be written over, by whatever name */
function requireWritable(sources: readonly string[], output: string, force: boolean): void {
  if (!existsSync(output)) return;
  const { dev, ino } = statSync(output);
  const isSource = sources.some((path) => {
    const of = statSync(path);
    return of.dev === dev && of.ino === ino;
  });
  if (isSource)
    throw new PynqLlmError('QUANTIZE_OUTPUT', `${output} is the source, or a part of it.`, {
      context: { path: output },
    });
  if (!force)
    throw new PynqLlmError('QUANTIZE_OUTPUT', `${output} is there already.`, { context: { path: output } });
}

interface ChosenTensor extends MeasuredTensor {
  readonly candidate: Candidate;
}

/** Types by measured error of those matrices that have none yet; the others are counted. */
async function measure(
  source: ByteSource,
  budgetBytes: number,
  mixture: Mixture,
  given: QuantizeOptions,
  { signal, onMeasure, pad }: QuantizeModelOptions,
): Promise<ChosenTensor[]> {
  const { rules = [], outputType, embeddingType, importance } = given;
  const isGiven = (name: string): boolean =>
    rules.some((rule) => rule.matches(name)) ||
    (outputType !== undefined && name === 'output.weight') ||
    (embeddingType !== undefined && name === 'token_embd.weight');
  const tensors = await measureMatrices(source, importance, { pad, isGiven, signal, onProgress: onMeasure });
  const others = unmeasuredBytes(source, planQuantization(source, mixture, given), tensors);
  const candidates = chooseWithin(tensors, budgetBytes, others);
  return tensors.map((tensor, i) => ({ ...tensor, candidate: candidates[i] }));
}

function resultOf(
  { mixture, tensors, byteLength }: QuantizePlan,
  bytesBefore: number,
  measured: readonly ChosenTensor[] | undefined,
): QuantizeResult {
  const nameOf = (type: Candidate['type']) => BLOCK_FORMATS[type].name;
  return {
    ...(measured && {
      measured: measured.map(({ name, candidate, candidates }) => ({
        name,
        chosen: nameOf(candidate.type),
        candidates: candidates.map(({ type, ...rest }) => ({ type: nameOf(type), ...rest })),
      })),
    }),
    type: mixture.name,
    bytesBefore,
    bytesAfter: byteLength,
    tensors: tensors.map(({ from, to, ...tensor }) => ({
      ...tensor,
      from: nameOf(from),
      to: nameOf(to),
    })),
  };
}
