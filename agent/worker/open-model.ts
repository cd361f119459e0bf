import type { Accelerator, WorkingPlan } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { type FileSource, fileSource, openGguf } from '../../gguf/index.js';
import {
  type CoreTypesSetting,
  Lane,
  LaneMemory,
  loadModel,
  type Model,
  type ModelShape,
  memberShape,
  modelShape,
  requireMemory,
  stageShape,
} from '../../llm/index.js';
import type { OnProgress, Result } from '../../protocol/index.js';
import type { DeviceParams } from '../worker-link/methods.js';
import type { RowSettings, StageSettings } from '../worker-link/stage-messages.js';
import type { MemoryRoom } from './memory-room.js';
import type { ModelBudgets } from './model-budgets.js';
import { factsOf } from './model-facts.js';
import { plainBudget, plainPlacement } from './plan-model.js';

export interface OpenModelOptions {
  readonly accelerator: () => Accelerator;
  readonly budgets: ModelBudgets;
  readonly room: MemoryRoom;
  /** Where who loads a model does not say. */
  readonly coreTypes: CoreTypesSetting | undefined;
  /** See ModelSetup. */
  readonly useWorking: (plan: WorkingPlan | undefined) => WorkingPlan | undefined;
  readonly onProgress: OnProgress;
  readonly onNote: (text: string) => void;
}

/** A model, or some of its layers, with the file that it reads from. */
export interface OpenModel {
  readonly model: Model;
  readonly source: FileSource;
  readonly result: Result<'models.load'>;
  /** Where boards that have other rows are met. */
  readonly lane: Lane | undefined;
}

/**
 * Loads a model, or layers of it. Nothing is allocated before it is known to fit.
 * @param use makes of it what runs; what it throws closes the model
 * @throws PynqLlmError GGUF_..., LLM_..., DRIVER_...
 */
export function openModel<T>(
  { accelerator, budgets, room, coreTypes, useWorking, onProgress, onNote }: OpenModelOptions,
  { model: digest, path, packed, stage, ...request }: DeviceParams<'models.load'>,
  use: (opened: OpenModel) => T,
): T {
  const source = fileSource(path);
  let model: Model | undefined;
  try {
    const gguf = openGguf(source);
    const whole = modelShape(gguf);
    const shape = stage === undefined ? whole : shapeOfPart(whole, stage);
    const lane = stage?.rows && laneOf(stage.rows);
    const planned = { kvBytes: stage?.kvBytes ?? request.kvBytes, working: useWorking(stage?.working) };
    const { budget, threads, rows } = budgets.cpuPart(shape, { ...request, ...planned }, false);
    requireMemory(budget);
    room.promise(digest, budget.system.need);
    const { kvType, kvBytes, maxColumns } = budget;
    model = loadModel(gguf, {
      accelerator: accelerator(),
      contextLength: request.contextLength,
      kvType,
      kvBytes,
      maxColumns,
      coreTypes: request.coreTypes ?? coreTypes,
      threads,
      // Which rows are whose the cut says.
      cpuRows: rows.size === 0 || lane !== undefined ? undefined : ({ name }) => rows.get(name) ?? 0,
      onProgress,
      keep: { model: digest, ...packed, say: onNote },
      range: stage,
      kvPool: stage?.kvPool,
      part: stage?.rows && lane && { cut: stage.rows.cut, gather: lane },
    });
    if (stage !== undefined) requireWithin(stage.kvBytes, model);
    const result = {
      facts: factsOf(model),
      placement: plainPlacement(model.placement),
      memory: plainBudget(budget),
      weights: model.weights,
    };
    return use({ model, source, result, lane });
  } catch (error) {
    // Its weights may be there and the memory for keys and values not.
    model?.close();
    source.close();
    room.free(digest);
    // Buffers of a stage that is not there are too small for anything else.
    if (stage !== undefined) useWorking(undefined);
    throw error;
  }
}

function shapeOfPart(whole: ModelShape, stage: StageSettings): ModelShape {
  const share = stage.rows?.cut.shares[stage.rows.member];
  const layers = stageShape(whole, stage);
  return share === undefined ? layers : memberShape(layers, share);
}

function laneOf({ lane, member, deadlineMs }: RowSettings): Lane {
  return new Lane(new LaneMemory(lane), member, { deadlineMs });
}

/** The budget is with what the stage's keys and values may take. @throws PynqLlmError LLM_KV_MEMORY where the plan's pages take more */
function requireWithin(kvBytes: number, { kvPool }: Model): void {
  const { askedBytes } = kvPool;
  if (askedBytes <= kvBytes) return;
  throw new PynqLlmError(
    'LLM_KV_MEMORY',
    `The plan's pages of keys and values take ${askedBytes} bytes here, and may take ${kvBytes}.`,
    { context: { bytes: askedBytes, most: kvBytes } },
  );
}
