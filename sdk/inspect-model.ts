import { z } from 'zod';
import { isPynqLlmError, type PynqLlmError } from '../errors/index.js';
import { BLOCK_FORMATS, type GgufValue, openGguf } from '../gguf/index.js';
import type { TensorShape, WirePlacementReport } from '../protocol/index.js';
import { listOf, requireArguments } from './arguments.js';
import { openModelFile } from './model-file.js';

/** What a GGUF file holds, without its data. */
export interface ModelFile {
  /** Version of the GGUF format. */
  readonly version: number;
  /** Bytes of the file; of a split model, of the whole. */
  readonly bytes: number;
  /** The files that it lies in: of a split model all parts, in order. */
  readonly files: readonly string[];
  /** Weights in all tensors. */
  readonly parameters: number;
  /** How many tensors there are of each type. */
  readonly tensorTypes: Readonly<Record<string, number>>;
  /** Long lists are cut: `length` has how many values they have. */
  readonly metadata: readonly {
    /** Its key, such as `general.name`. */
    readonly key: string;
    /** Plain data; of a long list the first values. */
    readonly value: unknown;
    /** Values of the whole list, where it was cut. */
    readonly length?: number;
  }[];
  /** Shapes as `board.models.plan` takes them. */
  readonly tensors: TensorShape[];
}

const SHOWN_VALUES = 8;
const INSPECT = z.object({ path: z.string() });
const LOSSES = z.object({ path: z.string(), tensors: listOf('tensors of a plan') });

/**
 * Reads the header of a model file.
 * @param path of the file, or of the first one of a split model
 * @throws PynqLlmError SDK_MODEL_FILE, GGUF_...
 */
export function inspectModel(path: string): ModelFile {
  requireArguments({ path }, INSPECT);
  const source = openModelFile(path);
  try {
    const gguf = openGguf(source);
    const tensors = [...gguf.tensors.values()].map(({ name, type, rows, columns }) => ({
      name,
      type: BLOCK_FORMATS[type].name,
      rows,
      columns,
    }));
    const tensorTypes: Record<string, number> = {};
    for (const { type } of tensors) tensorTypes[type] = (tensorTypes[type] ?? 0) + 1;
    return {
      version: gguf.version,
      bytes: source.size,
      files: source.files,
      parameters: tensors.reduce((sum, { rows, columns }) => sum + rows * columns, 0),
      tensorTypes,
      metadata: [...gguf.metadata].map(([key, value]) => ({ key, ...shown(value) })),
      tensors,
    };
  } finally {
    source.close();
  }
}

/** What loading would say of a model file, of any board. */
export interface ModelCheck {
  /** Why it would not be loaded; undefined where nothing speaks against it. */
  readonly problem?: PynqLlmError | undefined;
  /** What is taken for granted because the file does not say it, or says what cannot be: sentences for people. */
  readonly assumed: readonly string[];
}

/**
 * Checks a model file as loading it would, as far as no board is needed.
 * @param path of the file, or of the first one of a split model
 * @throws PynqLlmError SDK_MODEL_FILE, GGUF_... where the file cannot be read at all
 */
export async function checkModel(path: string): Promise<ModelCheck> {
  requireArguments({ path }, INSPECT);
  const { readModelToPlan } = await import('../agent/plan-on-board.js');
  using source = openModelFile(path);
  try {
    const { assumed } = readModelToPlan(source);
    return { assumed };
  } catch (error) {
    if (isPynqLlmError(error) && error.code.startsWith('LLM_')) return { problem: error, assumed: [] };
    throw error;
  }
}

/**
 * Measures on a model file what is lost of weights that the core multiplies in another form than the file's: of each tensor that a
 * plan has a `form` for, the root mean square of the differences, relative to that of its weights, on rows all over it.
 * @param path of the file, or of the first one of a split model
 * @throws PynqLlmError SDK_MODEL_FILE, GGUF_...
 */
export async function measureLosses(
  path: string,
  tensors: readonly Pick<WirePlacementReport['tensors'][number], 'name' | 'form'>[],
): Promise<ReadonlyMap<string, number>> {
  requireArguments({ path, tensors }, LOSSES);
  const { weightLosses } = await import('../agent/plan-on-board.js');
  using source = openModelFile(path);
  return weightLosses(
    source,
    tensors.flatMap(({ name, form }) => (form === undefined ? [] : [name])),
  );
}

/** Plain data for people and for JSON. */
function shown(value: GgufValue): { value: unknown; length?: number } {
  if (typeof value === 'bigint') return { value: value.toString() };
  if (typeof value !== 'object') return { value };
  const values = [...value];
  const first = values.slice(0, SHOWN_VALUES).map((one) => shown(one).value);
  return values.length > SHOWN_VALUES ? { value: first, length: values.length } : { value: first };
}
