import { type BoardDescription, loadBoardDescription } from '../board/index.js';
import { emptyMemory, planPlacement } from '../driver/index.js';
import { BLOCK_FORMATS, type ByteSource, openGguf } from '../gguf/index.js';
import {
  budgetMemory,
  checkContextLength,
  checkModel,
  coreForm,
  type MemoryRequest,
  modelShape,
  weightLoss,
} from '../llm/index.js';
import { CHUNK_BYTES, type ModelDimensions, type PlanReport, type TensorShape } from '../protocol/index.js';
import { plainBudget, planModel, shapeOf } from './worker/plan-model.js';

/**
 * Linux with the agent, before a model is loaded: the emulated PYNQ-Z1 has 83 MiB in use then (docs/emulated-board.md), and
 * the kernel itself takes 13 MiB that it does not count.
 */
const LINUX_BYTES = 96 * 2 ** 20;

/** What a plan asks of a model file. */
export interface ModelToPlan {
  readonly tensors: readonly TensorShape[];
  readonly model: ModelDimensions;
  /** What is taken for granted because the file does not say it, or says what cannot be; for people. */
  readonly assumed: readonly string[];
}

/**
 * Reads what a plan needs of a model's header, and checks all that loading checks of it before it takes memory.
 * @throws PynqLlmError GGUF_..., LLM_... where it is no model that can be loaded
 */
export function readModelToPlan(source: ByteSource): ModelToPlan {
  const gguf = openGguf(source);
  const { assumed } = checkModel(gguf);
  const { vectorValues: _, matrices: __, ...model } = modelShape(gguf);
  return {
    assumed,
    // A name only serves messages.
    model: { ...model, name: model.name.slice(0, 100) },
    tensors: [...gguf.tensors.values()].map(({ name, type, rows, columns }) => ({
      name,
      type: BLOCK_FORMATS[type].name,
      rows,
      columns,
    })),
  };
}

/**
 * What is lost of weights that the core multiplies in another form: root mean square, relative to that of the weights, measured on
 * rows of the file.
 *
 * @param names of tensors that have such a form
 * @throws PynqLlmError GGUF_...
 */
export function weightLosses(source: ByteSource, names: readonly string[]): Map<string, number> {
  const gguf = openGguf(source);
  const losses = new Map<string, number>();
  for (const name of names) {
    const tensor = gguf.tensors.get(name);
    // A type has one form, whatever the setting by which it goes to the core.
    const form = tensor && coreForm(tensor.type, tensor.columns, 'all');
    if (tensor !== undefined && form !== undefined) losses.set(name, weightLoss(gguf, tensor, form));
  }
  return losses;
}

/** A plan, with what its cycles are of and how long they are. */
export interface BoardPlan extends PlanReport {
  /** What the core's cycles are of: its synthesised hardware, or the model that it was made from. */
  readonly timing: 'systemc' | 'synthesised';
  /** Hz of the core. */
  readonly clockHz: number;
}

/**
 * Where a model would go on a board that is not there, and what it would take with nothing else loaded: as the agent of a
 * freshly started board would say.
 *
 * @param board a shipped description or a .toml file
 * @throws PynqLlmError DRIVER_BOARD_UNKNOWN, DRIVER_BOARD_FILE_INVALID, LLM_CONTEXT_LENGTH, LLM_KV_TYPE, LLM_CORE_TYPES
 */
export function planOnBoard(
  { model, tensors }: Pick<ModelToPlan, 'model' | 'tensors'>,
  board: string,
  request: MemoryRequest,
): BoardPlan {
  const description = loadBoardDescription(board);
  const dma = emptyMemory(description);
  checkContextLength(model, request.contextLength);
  const budget = budgetMemory({
    model: shapeOf(model, [...tensors]),
    board: { description, dma },
    system: { ...assumedSystem(description), uploads: 8 * CHUNK_BYTES, isMock: false },
    request,
  });
  const plan = (matrices: Parameters<typeof planPlacement>[2]) => planPlacement(description, dma, matrices);
  const placement = planModel(plan, [...tensors], description, request.coreTypes);
  const { timing, clockHz } = description;
  return { ...placement, memory: plainBudget(budget), timing, clockHz };
}

function assumedSystem({ memoryBytes, dmaMemory }: BoardDescription) {
  const forDma = dmaMemory.reduce((sum, { size }) => sum + size, 0);
  return {
    available: Math.max(0, memoryBytes - forDma - LINUX_BYTES),
    source: `${(memoryBytes - forDma) / 2 ** 20} MiB less ${LINUX_BYTES / 2 ** 20} of Linux and agent`,
  };
}
