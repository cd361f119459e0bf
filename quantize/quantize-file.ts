import { setImmediate as nextTurn } from 'node:timers/promises';
import { PynqLlmError } from '../errors/index.js';
import {
  alignUp,
  type ByteSource,
  DEFAULT_ALIGNMENT,
  type GgmlType,
  type GgufEntry,
  type GgufFile,
  type GgufTensor,
  ggufHeader,
  openGguf,
  PADDED_ROWS_KEYS,
  paddedColumns,
  paddedRowBytes,
  readRawMetadata,
  SPLIT_KEYS,
} from '../gguf/index.js';
import type { ImportanceMatrix } from './importance.js';
import { RowQuantizer, SOURCE_TYPES } from './kernel.js';
import type { Mixture } from './mixtures.js';
import { inFileOrder } from './tensor-order.js';
import { chooseTypes, type ModelShape, type TypeChoice, trimmedShape } from './tensor-types.js';

/** Rows are taken in pieces of so many values. */
const PIECE_VALUES = 2 ** 20;
/** GGML_QNT_VERSION of ggml.h. */
const QUANTIZATION_VERSION = 2;

export interface QuantizeOptions extends Omit<TypeChoice, 'model' | 'mixture' | 'hasImportance'> {
  readonly importance?: ImportanceMatrix;
  /** Ends the work; nothing more is written. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: QuantizeProgress) => void;
}

export interface QuantizeProgress {
  readonly tensor: string;
  readonly from: GgmlType;
  readonly to: GgmlType;
  /** Of the source, all tensors together. */
  readonly bytesDone: number;
  readonly bytesAll: number;
}

/** What a tensor became. */
export interface QuantizedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly from: GgmlType;
  readonly to: GgmlType;
  /** Bytes before and after, without padding. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** A plan of a quantised file: its tensors in order, and what it is in all. */
export interface QuantizePlan {
  readonly mixture: Mixture;
  readonly tensors: readonly QuantizedTensor[];
  /** Of the file. */
  readonly byteLength: number;
}

/**
 * What a file would become, without reading its weights.
 * @throws PynqLlmError GGUF_*, QUANTIZE_*
 */
export function planQuantization(
  source: ByteSource,
  mixture: Mixture,
  options: QuantizeOptions = {},
): QuantizePlan {
  return planOf(openGguf(source), mixture, options).plan;
}

/**
 * Writes a quantised copy of a model, with the bytes that llama-quantize writes: types by its mixture, blocks by its searches,
 * metadata copied. Memory holds the header and a million values of a tensor.
 *
 * @param sink takes the file's bytes in order
 * @throws PynqLlmError GGUF_*, QUANTIZE_*; what the sink throws; the signal's reason
 */
export async function quantizeFile(
  source: ByteSource,
  sink: { write(bytes: Uint8Array): void | Promise<void> },
  mixture: Mixture,
  options: QuantizeOptions = {},
): Promise<QuantizePlan> {
  const file = openGguf(source);
  const { plan, header, sources, alignment } = planOf(file, mixture, options);
  await sink.write(header);
  const quantizer = new RowQuantizer();
  const bytesAll = plan.tensors.reduce((sum, { bytesBefore }) => sum + bytesBefore, 0);
  let bytesDone = 0;
  for (const [i, target] of plan.tensors.entries()) {
    for (const piece of pieces(sources[i])) {
      options.signal?.throwIfAborted();
      await sink.write(quantizePiece(file, quantizer, sources[i], piece, target.to, options.importance));
      bytesDone += piece.rows * sources[i].rowBytes;
      options.onProgress?.({ tensor: target.name, from: target.from, to: target.to, bytesDone, bytesAll });
      // Signals and the terminal have their turn.
      await nextTurn();
    }
    await sink.write(new Uint8Array(alignUp(target.bytesAfter, alignment) - target.bytesAfter));
  }
  return plan;
}

interface Piece {
  readonly firstRow: number;
  readonly rows: number;
}

/** Whole rows, of one expert each where a tensor is a stack of them. */
function* pieces({ rows, shape }: GgufTensor): Generator<Piece> {
  const most = Math.max(1, Math.floor(PIECE_VALUES / shape[0]));
  const stack = shape.length > 2 ? shape[1] : rows;
  for (let firstRow = 0; firstRow < rows; ) {
    const left = stack - (firstRow % stack);
    const count = Math.min(most, left, rows - firstRow);
    yield { firstRow, rows: count };
    firstRow += count;
  }
}

function quantizePiece(
  file: GgufFile,
  quantizer: RowQuantizer,
  tensor: GgufTensor,
  { firstRow, rows }: Piece,
  to: GgmlType,
  importance: ImportanceMatrix | undefined,
): Uint8Array {
  const source = new Uint8Array(rows * tensor.rowBytes);
  file.readTensor(tensor, firstRow, rows, source);
  if (to === tensor.type) return source;
  const weights = importance?.weightsOf(tensor, firstRow);
  try {
    return quantizer.quantize(tensor.type, source, tensor.shape[0], to, weights);
  } catch (cause) {
    if (!(cause instanceof PynqLlmError)) throw cause;
    throw new PynqLlmError(cause.code, `Rows from ${firstRow} on of ${tensor.name}: ${cause.what}`, {
      cause,
      context: { ...cause.context, tensor: tensor.name, firstRow },
    });
  }
}

function planOf(
  file: GgufFile,
  mixture: Mixture,
  options: QuantizeOptions,
): { plan: QuantizePlan; header: Uint8Array; sources: readonly GgufTensor[]; alignment: number } {
  const alignment = Number(file.metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT);
  const sources = inFileOrder(file.tensors.values());
  const hasImportance = options.importance !== undefined;
  const types = chooseTypes(sources, { ...options, mixture, model: modelShapeOf(file), hasImportance });
  const tensors = sources.map((source, i): QuantizedTensor => {
    const to = types[i];
    if (to !== source.type) requireQuantizable(source, to, mixture, options.importance);
    const bytesAfter = source.rows * paddedRowBytes(to, source.shape[0]);
    const { name, type: from, byteLength: bytesBefore } = source;
    return { name, shape: trimmedShape(source.shape), from, to, bytesBefore, bytesAfter };
  });
  const metadata = new Map([...metadataOf(file, mixture, options.importance), ...paddingOf(tensors)]);
  const headers = tensors.map(({ name, shape: [columns, ...rest], to }) => {
    return { name, shape: [paddedColumns(to, columns), ...rest], type: to };
  });
  const header = ggufHeader(metadata, headers, alignment);
  const byteLength = tensors.reduce(
    (sum, { bytesAfter }) => sum + alignUp(bytesAfter, alignment),
    header.length,
  );
  return { plan: { mixture, tensors, byteLength }, header, sources, alignment };
}

/** What tells the padding of rows; nothing where no row is padded. */
function paddingOf(tensors: readonly QuantizedTensor[]): (readonly [string, GgufEntry])[] {
  const padded = tensors.filter(({ to, shape: [columns] }) => paddedColumns(to, columns) !== columns);
  if (padded.length === 0) return [];
  const [names, columns] = [padded.map(({ name }) => name), padded.map(({ shape }) => shape[0])];
  return [
    [PADDED_ROWS_KEYS.tensors, { type: 'array', of: 'string', value: names }],
    [PADDED_ROWS_KEYS.columns, { type: 'array', of: 'uint32', value: columns }],
  ];
}

function requireQuantizable(
  { name, type }: GgufTensor,
  to: GgmlType,
  mixture: Mixture,
  importance: ImportanceMatrix | undefined,
): void {
  if (!SOURCE_TYPES.has(type))
    throw new PynqLlmError('QUANTIZE_SOURCE', `The tensor ${name} is quantised already.`, {
      context: { tensor: name, type },
    });
  const isRough = mixture.name === 'Q2_K_S' && to === mixture.type && importance === undefined;
  if (isRough && !name.startsWith('token_embd') && name !== 'output.weight')
    throw new PynqLlmError('QUANTIZE_IMPORTANCE', `Q2_K_S would make ${name} useless without weights.`, {
      context: { tensor: name },
    });
}

/** The source's, byte for byte, but what says how it is quantised, which goes to the end as llama-quantize puts it. */
function metadataOf(
  file: GgufFile,
  { fileType }: Mixture,
  importance: ImportanceMatrix | undefined,
): ReadonlyMap<string, GgufEntry> {
  const entries = new Map<string, GgufEntry>();
  for (const [key, value] of readRawMetadata(file.source)) entries.set(key, { type: 'raw', value });
  const set = (key: string, entry: GgufEntry) => {
    entries.delete(key);
    entries.set(key, entry);
  };
  set('general.quantization_version', { type: 'uint32', value: QUANTIZATION_VERSION });
  set('general.file_type', { type: 'uint32', value: fileType });
  for (const key of Object.values(SPLIT_KEYS)) entries.delete(key);
  for (const [key, entry] of importance?.metadata ?? []) set(key, entry);
  return entries;
}

/** What the choice of types asks of a file. @throws PynqLlmError QUANTIZE_SOURCE */
export function modelShapeOf({ metadata }: GgufFile): ModelShape {
  const architecture = metadata.get('general.architecture');
  if (typeof architecture !== 'string')
    throw new PynqLlmError('QUANTIZE_SOURCE', 'The file does not say its architecture.');
  const number = (key: string): number => {
    const value = metadata.get(`${architecture}.${key}`);
    const first =
      ArrayBuffer.isView(value) || Array.isArray(value) ? (value as ArrayLike<unknown>)[0] : value;
    return typeof first === 'number' ? first : 0;
  };
  const layers = number('block_count');
  const heads = number('attention.head_count');
  const kvHeads = metadata.has(`${architecture}.attention.head_count_kv`)
    ? number('attention.head_count_kv')
    : heads;
  return {
    layers,
    groupedHeads: kvHeads === 0 ? 0 : Math.floor(heads / kvHeads),
    experts: number('expert_count'),
    isLlama70B: architecture === 'llama' && layers === 80 && heads !== kvHeads,
  };
}
