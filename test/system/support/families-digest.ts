import { KV_TYPES } from '../../../llm/kv/layout.js';
import { digestLogits } from './logits-digest.js';

/** Enough tokens that the last ones see a complete page. */
const PROMPT = 'Once upon a time';

/** Digests of the logits of models, with keys and values of each type. */
export function digestFamilies(models: readonly string[]) {
  return models.flatMap((model) =>
    KV_TYPES.map((kvType) => ({ model, kvType, ...digestLogits(model, 'pynq-z1', PROMPT, 16, kvType) })),
  );
}
