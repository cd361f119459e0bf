import type { BoardDescription } from '../../board/index.js';
import { emptyMemory, rowsPerTile, type TensorShape, type WorkingPlan } from '../../driver/index.js';
import { SUPER_BLOCK } from '../../gguf/index.js';
import { chooseForms } from '../core-form/index.js';
import { KvLayout, type KvType } from '../kv/layout.js';
import type { LayerRange } from '../model/layer-range.js';
import { DEFAULT_MAX_COLUMNS } from '../model/load-model.js';
import { assumedSystem } from './board-system.js';
import { type MemoryRequest, type MemorySum, sumMemory } from './budget.js';
import type { ModelShape } from './model-shape.js';

/** What layers of a model take on a board that is free, all weights resident. Plain data. */
export interface StageMemory extends MemorySum {
  /** The driver's buffers that this is with: none for staging, and of results as many bytes as come at a time. */
  readonly working: WorkingPlan;
  /** Frames that the bytes for keys and values are: stages that share sequences need as many each. */
  readonly kvFrames: number;
}

/**
 * Adds up what the layers `range` of a model take on a board of their own; with the last goes the output matrix. The sum says
 * what is short: a stage stages nothing. Pure.
 * @param uploads bytes of the model that are on their way at a time
 * @throws PynqLlmError LLM_KV_TYPE
 */
export function stageMemory(
  model: ModelShape,
  range: LayerRange,
  description: BoardDescription,
  request: MemoryRequest,
  uploads: number,
): StageMemory {
  const shape = stageShape(model, range);
  const columns = request.maxColumns ?? DEFAULT_MAX_COLUMNS;
  const onCore = chooseForms(description, shape.matrices, request.coreTypes).filter(
    ({ form }) => form !== undefined,
  );
  const resultBytes = largestResult(
    onCore.map((choice) => choice.shape),
    description,
    columns,
  );
  const working = { staged: false, resultBytes };
  const sum = sumMemory({
    model: shape,
    board: { description, dma: emptyMemory(description, working) },
    system: assumedSystem(description, uploads),
    request: { ...request, staged: false, working },
  });
  return { ...sum, working, kvFrames: Math.floor(sum.kvBytes / frameBytes(shape, sum.kvType)) };
}

/** Bytes for so many frames of keys and values of a stage. @param stage its layers alone @throws PynqLlmError LLM_KV_TYPE */
export function stageKvBytes(stage: ModelShape, type: KvType, frames: number): number {
  return frames * frameBytes(stage, type);
}

function frameBytes(stage: ModelShape, type: KvType): number {
  return new KvLayout(stage, type).frameBytes;
}

/** A model of these layers alone. Logits and the vocabulary's texts are the last stage's. */
export function stageShape(model: ModelShape, { from, to }: LayerRange): ModelShape {
  const { matrices, embedding, vectorValues, layerWindows, convolution } = model;
  const layerOf = ({ name }: TensorShape) => /^blk\.(\d+)\./.exec(name)?.[1];
  const all = 1 + matrices.reduce((most, matrix) => Math.max(most, Number(layerOf(matrix) ?? 0)), 0);
  const isLast = to === all;
  const own = matrices.filter((matrix, i) => {
    const layer = layerOf(matrix);
    return layer === undefined
      ? isLast && i === matrices.length - 1
      : Number(layer) >= from && Number(layer) < to;
  });
  const convolving = new Set(matrices.filter(({ name }) => name.includes('.shortconv.')).map(layerOf));
  const attend = (first: number, end: number) =>
    Array.from({ length: end - first }, (_, i) => String(first + i)).filter((layer) => !convolving.has(layer))
      .length;
  const [before, layers] = [attend(0, from), attend(from, to)];
  const ofLayer = Math.max(0, vectorValues - embedding) / all;
  return {
    ...model,
    layers,
    layerWindows: layerWindows.slice(before, before + layers),
    convolution: convolution && { ...convolution, layers: to - from - layers },
    matrices: own,
    vectorValues: Math.ceil(ofLayer * (to - from)) + (isLast ? embedding : 0),
    ...(!isLast && { vocabulary: 0, merges: 0 }),
  };
}

/** Results of the largest tile with as many columns as a run can have. */
function largestResult(
  matrices: readonly TensorShape[],
  { capacity }: BoardDescription,
  columns: number,
): number {
  return matrices.reduce((most, { rows, columns: inputs }) => {
    const kb = inputs / SUPER_BLOCK;
    const perRun = Math.min(columns, Math.floor(capacity.inputBlocks / kb));
    return Math.max(most, 4 * perRun * Math.min(rows, rowsPerTile(kb, capacity.weightBlocks)));
  }, 0);
}
