import {
  fileSource,
  type GgufEntry,
  openGguf,
  readRawMetadata,
  type TensorToWrite,
  writeGguf,
} from '../../../gguf/index.js';
import { TINY_MODEL } from '../../system/support/agent.js';
import { deepened } from '../../unit/llm/models.js';

/** Drafts for `deepModel`. */
export const DRAFT_MODEL = 'models/tiny-stories-Q2_K.gguf';
const LAYERS = 8;
const LAYERS_KEY = 'llama.block_count';

/** The bundled model with layers on top that add nothing: worth drafting for, since it costs more than what drafts. */
export function deepModel(): Uint8Array {
  const source = fileSource(TINY_MODEL);
  const deep = deepened(openGguf(source), LAYERS);
  const metadata = new Map<string, GgufEntry>();
  for (const [key, value] of readRawMetadata(source)) metadata.set(key, { type: 'raw', value });
  metadata.set(LAYERS_KEY, { type: 'uint32', value: LAYERS });
  const tensors = [...deep.tensors.values()].map((tensor): TensorToWrite => {
    const { name, type, shape, rows, byteLength } = tensor;
    const produce = (emit: (bytes: Uint8Array) => void) => {
      const bytes = new Uint8Array(byteLength);
      deep.readTensor(tensor, 0, rows, bytes);
      emit(bytes);
    };
    return { name, type, shape, produce };
  });
  const pieces: Uint8Array[] = [];
  writeGguf({ write: (bytes) => void pieces.push(bytes.slice()) }, metadata, tensors);
  return Buffer.concat(pieces);
}
