import { type Accelerator, emptyMemory } from '../../driver/index.js';
import { fileSource, openGguf } from '../../gguf/index.js';
import {
  budgetMemory,
  type CoreTypesSetting,
  checkContextLength,
  checkCoreTypes,
  checkModel,
  chooseForms,
  type MemoryBudget,
  type MemoryRequest,
  type ModelShape,
  modelShape,
  requireMemory,
} from '../../llm/index.js';
import type { Result } from '../../protocol/index.js';
import type { KvSettings } from '../worker-link/kv-settings.js';
import type { DeviceParams } from '../worker-link/methods.js';
import { type CpuPart, type CpuSettings, chooseCpuPart } from './cpu-part.js';
import type { MemoryRoom } from './memory-room.js';
import { plainBudget, planModel, shapeOf } from './plan-model.js';

interface ModelBudgetsOptions {
  readonly accelerator: () => Accelerator;
  readonly kv: KvSettings;
  readonly cpu: CpuSettings;
  /** Where who loads a model does not say. */
  readonly coreTypes: CoreTypesSetting | undefined;
  readonly room: MemoryRoom;
}

/** Where models would go on this device, and what they would take. */
export class ModelBudgets {
  readonly #options: ModelBudgetsOptions;

  constructor(options: ModelBudgetsOptions) {
    this.#options = options;
  }

  /** Where a model would go and what it would take. @throws PynqLlmError LLM_CONTEXT_LENGTH, LLM_KV_TYPE, where asked LLM_MEMORY_... */
  plan({
    tensors,
    model,
    alone = false,
    refuse = false,
    ...request
  }: DeviceParams<'models.plan'>): Result<'models.plan'> {
    const accelerator = this.#options.accelerator();
    const coreTypes = request.coreTypes ?? this.#options.coreTypes;
    const { description } = accelerator.board;
    const placement = () =>
      planModel((matrices) => accelerator.plan(matrices), tensors, description, coreTypes);
    if (model === undefined) return placement();
    const { budget } = this.cpuPart(shapeOf(model, tensors), request, alone);
    if (refuse) requireMemory(budget);
    return { ...placement(), memory: plainBudget(budget) };
  }

  /**
   * What loading would check, and say of the memory as it is now.
   * @param loaded what the model took, where it is loaded
   * @throws PynqLlmError as loading it, before it takes memory
   */
  check(
    { model: _, path, ...request }: DeviceParams<'models.check'>,
    loaded: Result<'models.check'>['memory'] | undefined,
  ): Result<'models.check'> {
    using source = fileSource(path);
    const gguf = openGguf(source);
    const assumed = [...checkModel(gguf).assumed];
    if (loaded !== undefined) return { assumed, memory: loaded };
    const { budget } = this.cpuPart(modelShape(gguf), request, false);
    requireMemory(budget);
    return { assumed, memory: plainBudget(budget) };
  }

  /** @param alone with nothing else on the board, else beside what is loaded @throws PynqLlmError LLM_CONTEXT_LENGTH, LLM_KV_TYPE */
  cpuPart(model: ModelShape, request: MemoryRequest, alone: boolean): CpuPart {
    checkContextLength(model, request.contextLength);
    const { cpu } = this.#options;
    const accelerator = this.#options.accelerator();
    const { description } = accelerator.board;
    const coreTypes = checkCoreTypes(request.coreTypes ?? this.#options.coreTypes);
    const matrices = () => chooseForms(description, model.matrices, coreTypes).map(({ shape }) => shape);
    return chooseCpuPart(
      cpu,
      matrices,
      (shapes) => accelerator.plan(shapes),
      description,
      (part) => this.#budget(model, { ...request, ...part, coreTypes }, alone),
    );
  }

  #budget(model: ModelShape, request: MemoryRequest, alone: boolean): MemoryBudget {
    const { accelerator, kv, room } = this.#options;
    const { board } = accelerator();
    const { description } = board;
    return budgetMemory({
      model,
      board: { description, dma: alone ? emptyMemory(description) : board.dmaMemory() },
      system: alone ? room.alone() : room.left(),
      request: {
        ...request,
        kvType: request.kvType ?? kv.type,
        kvBytes: request.kvBytes ?? kv.bytes,
      },
    });
  }
}
