import type { BoardDescription } from '../../board/index.js';
import { emptyMemory, rowsPerTile, type TensorShape, type WorkingPlan } from '../../driver/index.js';
import { SUPER_BLOCK } from '../../gguf/index.js';
import { chooseForms } from '../core-form/index.js';
import type { KvShape } from '../kv/layout.js';
import type { LayerRange } from '../model/layer-range.js';
import { checkContextLength, DEFAULT_MAX_COLUMNS } from '../model/load-model.js';
import { assumedSystem } from './board-system.js';
import { type MemoryRequest, type MemorySum, sumMemory } from './budget.js';
import type { ModelShape } from './model-shape.js';

/** What layers of a model take on a board that is free, all weights resident. Plain data. */
export interface StageMemory extends MemorySum {
  /** The driver's buffers that this is with: none for staging, and of results as many bytes as come at a time. */
  readonly working: WorkingPlan;
}

/**
 * Adds up what the layers `range` of a model take on a board of their own; with the last goes the output matrix. The sum says
 * what is short: a stage stages nothing. Pure.
 * @param uploads bytes of the model that are on their way at a time
 * @throws PynqLlmError LLM_CONTEXT_LENGTH, LLM_KV_TYPE
 */
export function stageMemory(
  model: ModelShape,
  range: LayerRange,
  description: BoardDescription,
  request: MemoryRequest,
  uploads: number,
): StageMemory {
  checkContextLength(model, request.contextLength);
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
  return { ...sum, working };
}

/** Keys and values of these layers alone, and rows of convolutions. */
export function kvShapeOfStage(model: ModelShape, { from, to }: LayerRange): KvShape {
  const { heads, kvHeads, headDim, layerWindows, convolution } = model;
  const attending = new Set<number>();
  for (const { name } of model.matrices) {
    const layer = layerOf(name);
    if (layer !== undefined && name.includes('.attn_')) attending.add(layer);
  }
  const inOrder = [...attending].toSorted((a, b) => a - b);
  const isOwn = (_: number, i: number) => inOrder[i]! >= from && inOrder[i]! < to;
  const layers = inOrder.filter(isOwn).length;
  return {
    layers,
    heads,
    kvHeads,
    headDim,
    layerWindows: layerWindows.filter(isOwn),
    convolution: convolution && { ...convolution, layers: to - from - layers },
  };
}

function layerOf(name: string): number | undefined {
  const [, layer] = /^blk\.(\d+)\./.exec(name) ?? [];
  return layer === undefined ? undefined : Number(layer);
}

/** A model of these layers alone. Logits and the vocabulary's texts are the last stage's. */
export function stageShape(model: ModelShape, range: LayerRange): ModelShape {
  const { from, to } = range;
  const { matrices, embedding, vectorValues } = model;
  const layers = 1 + matrices.reduce((most, { name }) => Math.max(most, layerOf(name) ?? 0), 0);
  const isLast = to === layers;
  const own = matrices.filter(({ name }, i) => {
    const layer = layerOf(name);
    return layer === undefined ? isLast && i === matrices.length - 1 : layer >= from && layer < to;
  });
  const kv = kvShapeOfStage(model, range);
  const ofLayer = Math.max(0, vectorValues - embedding) / layers;
  return {
    ...model,
    ...kv,
    layerWindows: kv.layerWindows ?? [],
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
