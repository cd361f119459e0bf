import { existsSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { z } from 'zod';
import { PynqLlmError } from '../errors/index.js';
import { BLOCK_FORMATS, fileSink, fileSource } from '../gguf/index.js';
import {
  ImportanceMatrix,
  mixtureOf,
  parseTensorRule,
  planQuantization,
  type QuantizePlan,
  quantizeFile,
  tensorTypeOf,
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
  /** Type of `output.weight`, such as `Q6_K`. */
  readonly outputTensorType?: string;
  /** Type of the embedding. */
  readonly tokenEmbeddingType?: string;
  /** Path of an importance matrix, as llama-imatrix writes it (GGUF). */
  readonly imatrix?: string;
  /** Replaces a file that is there. */
  readonly force?: boolean;
  /** Only says what would be made. */
  readonly dryRun?: boolean;
  /** Ends the work; what was written is removed. */
  readonly signal?: AbortSignal;
  /** Called after each piece of a tensor. @param done bytes of the source @param all all of them @param tensor its name */
  readonly onProgress?: (done: number, all: number, tensor: string) => void;
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
  const { signal, onProgress, pure } = options;
  const importance = options.imatrix === undefined ? undefined : readImportance(options.imatrix);
  const choice = {
    ...(pure !== undefined && { pure }),
    ...(importance !== undefined && { importance }),
    ...(signal !== undefined && { signal }),
    rules: (options.tensorTypes ?? []).map(parseTensorRule),
    ...typeOption('outputType', options.outputTensorType),
    ...typeOption('embeddingType', options.tokenEmbeddingType),
  };
  using source = fileSource(input);
  if (options.dryRun) return resultOf(planQuantization(source, mixture, choice), source.size);
  requireWritable(input, output, options.force === true);
  const partial = `${output}.partial`;
  try {
    using sink = fileSink(partial);
    const plan = await quantizeFile(source, sink, mixture, {
      ...choice,
      onProgress: ({ bytesDone, bytesAll, tensor }) => onProgress?.(bytesDone, bytesAll, tensor),
    });
    sink.close();
    renameSync(partial, output);
    return resultOf(plan, source.size);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
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

function requireWritable(input: string, output: string, force: boolean): void {
  if (!existsSync(output)) return;
  if (realpathSync(output) === realpathSync(input))
    throw new PynqLlmError('QUANTIZE_OUTPUT', `${output} is the source.`, { context: { path: output } });
  if (!force)
    throw new PynqLlmError('QUANTIZE_OUTPUT', `${output} is there already.`, { context: { path: output } });
}

function resultOf({ mixture, tensors, byteLength }: QuantizePlan, bytesBefore: number): QuantizeResult {
  return {
    type: mixture.name,
    bytesBefore,
    bytesAfter: byteLength,
    tensors: tensors.map(({ from, to, ...tensor }) => ({
      ...tensor,
      from: BLOCK_FORMATS[from].name,
      to: BLOCK_FORMATS[to].name,
    })),
  };
}
