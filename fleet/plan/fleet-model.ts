import { type GgufFile, modelSource, openHeader } from '../../gguf/index.js';
import {
  type ModelShape,
  modelShape,
  normsHeadsTogether,
  type StepShape,
  stepShape,
} from '../../llm/index.js';

/** What plans need of a model: its header alone tells it. Plain data. */
export interface FleetModel {
  readonly name: string;
  /** What its memory follows from. */
  readonly memory: ModelShape;
  /** What its steps compute with. */
  readonly step: StepShape;
  /** Whether its heads need each other before they attend. */
  readonly joinsHeads: boolean;
}

/** @throws PynqLlmError LLM_UNSUPPORTED_ARCHITECTURE, LLM_METADATA_*, LLM_TENSOR_*, LLM_ROPE_SCALING_UNSUPPORTED */
export function fleetModel(gguf: GgufFile): FleetModel {
  const memory = modelShape(gguf);
  return { name: memory.name, memory, step: stepShape(gguf), joinsHeads: normsHeadsTogether(gguf) };
}

/**
 * Reads the header of a model file, which may end there.
 * @param path of a GGUF file, or of the first one of a split model
 * @throws PynqLlmError GGUF_*, and as {@link fleetModel}
 */
export function readFleetModel(path: string): FleetModel {
  using source = modelSource(path);
  return fleetModel(openHeader(source));
}
