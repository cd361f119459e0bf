import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type ByteSource,
  CORE_TYPES,
  dequantizeRow,
  type GgmlType,
  type GgufFile,
  type GgufTensor,
  ggmlTypeOf,
  openGguf,
  SUPER_BLOCK,
} from '../gguf/index.js';
import { boardBytes } from './board-bytes.js';
import type { ImportanceMatrix } from './importance.js';
import { RowQuantizer } from './kernel.js';
import type { QuantizePlan } from './quantize-file.js';
import { inFileOrder, layerOf } from './tensor-order.js';
import { isQuantizable } from './tensor-types.js';

/** Rows of a tensor that are tried, evenly spread: enough that the error of all is met within a few per cent. */
const SAMPLED_ROWS = 64;
/**
 * What a layer's matrix gets wrong is a part of one of many updates of the residual stream; what the output matrix gets wrong is in
 * the logits whole. So its error counts as that of four matrices of every layer: measured on one model (docs/quantize.md).
 */
const OUTPUT_WEIGHT_OF_LAYER = 4;

/** What a tensor would cost and lose in each of the core's types, the smallest first. */
export interface MeasuredTensor {
  readonly name: string;
  /** How much its error counts beside that of others. */
  readonly weight: number;
  readonly candidates: readonly Candidate[];
}

export interface Candidate {
  readonly type: GgmlType;
  /** Bytes of DMA memory on a board: blocks as the core reads them. */
  readonly bytes: number;
  /** Squared error over squared values, of sampled rows, weighted by importance where there is a matrix of it. */
  readonly error: number;
}

export interface MeasureOptions {
  /** Also those whose rows would be padded. */
  readonly pad?: boolean | undefined;
  /** Tensors whose types are given: they are left out. */
  readonly isGiven?: ((name: string) => boolean) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, all: number, tensor: string) => void) | undefined;
}

/**
 * The matrices that a board holds in DMA memory, each tried in all of the core's types. An embedding that is no output matrix too is
 * read row by row and takes none.
 * @throws PynqLlmError GGUF_*, QUANTIZE_*; the signal's reason
 */
export async function measureMatrices(
  source: ByteSource,
  importance: ImportanceMatrix | undefined,
  { pad = false, isGiven = () => false, signal, onProgress }: MeasureOptions = {},
): Promise<MeasuredTensor[]> {
  const file = openGguf(source);
  const matrices = boardMatrices(file).filter(
    ({ name, columns }) => (pad || columns % SUPER_BLOCK === 0) && !isGiven(name),
  );
  const layers = matrices.reduce((most, { name }) => Math.max(most, layerOf(name) + 1), 1);
  const outputWeight = OUTPUT_WEIGHT_OF_LAYER * layers;
  const quantizer = new RowQuantizer();
  const measured: MeasuredTensor[] = [];
  for (const tensor of matrices) {
    signal?.throwIfAborted();
    const weight = layerOf(tensor.name) < 0 ? outputWeight : 1;
    const candidates = await measureTensor(file, tensor, quantizer, importance);
    measured.push({ name: tensor.name, weight, candidates });
    onProgress?.(measured.length, matrices.length, tensor.name);
  }
  return measured;
}

/**
 * Bytes of DMA memory of those matrices that were not measured, in the types that they are to have.
 * @param plan of the file without types by measure
 */
export function unmeasuredBytes(
  source: ByteSource,
  plan: Pick<QuantizePlan, 'tensors'>,
  measured: readonly MeasuredTensor[],
): number {
  const known = new Set(measured.map(({ name }) => name));
  const types = new Map(plan.tensors.map(({ name, to }) => [name, to]));
  return boardMatrices(openGguf(source))
    .filter(({ name }) => !known.has(name))
    .reduce(
      (sum, { name, type, rows, columns }) => sum + boardBytes(types.get(name) ?? type, rows, columns),
      0,
    );
}

/** An embedding that is no output matrix too is read row by row. */
function boardMatrices(file: GgufFile): GgufTensor[] {
  const isTied = !file.tensors.has('output.weight');
  return inFileOrder(file.tensors.values()).filter(
    (tensor) => isQuantizable(tensor) && (isTied || tensor.name !== 'token_embd.weight'),
  );
}

/** Tries each of the core's types on sampled rows of a tensor of whole super-blocks. */
async function measureTensor(
  file: GgufFile,
  tensor: GgufTensor,
  quantizer: RowQuantizer,
  importance: ImportanceMatrix | undefined,
): Promise<Candidate[]> {
  const { rows, columns } = tensor;
  const sampled = sampledRows(rows);
  const sums = CORE_TYPES.map(() => 0);
  let squares = 0;
  const source = new Uint8Array(tensor.rowBytes);
  const floats = new Float32Array(columns);
  const stored = new Float32Array(Math.ceil(columns / SUPER_BLOCK) * SUPER_BLOCK);
  for (const row of sampled) {
    file.readTensor(tensor, row, 1, source);
    dequantizeRow(tensor.type, source, columns, floats);
    const weights = importance?.weightsOf(tensor, row);
    squares += weighted(floats, undefined, weights);
    for (const [i, type] of CORE_TYPES.entries()) {
      const made = quantizer.quantize(tensor.type, source, columns, ggmlTypeOf(type), weights);
      dequantizeRow(ggmlTypeOf(type), made, stored.length, stored);
      sums[i] += weighted(floats, stored, weights);
    }
    await nextTurn();
  }
  return CORE_TYPES.map((type, i) => ({
    type: ggmlTypeOf(type),
    bytes: boardBytes(ggmlTypeOf(type), rows, columns),
    error: squares === 0 ? 0 : sums[i] / squares,
  }));
}

function sampledRows(rows: number): number[] {
  const count = Math.min(rows, SAMPLED_ROWS);
  return Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) * rows) / count));
}

/** Sum of weight * (value - stored)²; of the values themselves without `stored`. */
function weighted(
  values: Float32Array,
  stored: Float32Array | undefined,
  weights: Float32Array | undefined,
): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const difference = values[i] - (stored?.[i] ?? 0);
    sum += (weights?.[i] ?? 1) * difference * difference;
  }
  return sum;
}
