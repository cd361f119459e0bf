import type { KvShape, KvType } from '../kv/layout.js';
import type { PoolShape } from '../kv/pool-shape.js';
import { stagePool } from '../stages/index.js';
import type { TensorCut } from './cut.js';

/**
 * The pages that the members of a cut have in common, each with keys and values of its own heads.
 * @param shape of the whole model
 * @param bytes that each member has for keys and values, in their order
 * @throws PynqLlmError LLM_KV_TYPE
 */
export function memberPool(
  { shares }: TensorCut,
  shape: KvShape,
  type: KvType,
  bytes: readonly number[],
): PoolShape {
  const group = shape.heads / shape.kvHeads;
  const members = shares.map(({ kvHeads: { count } }, i) => ({
    shape: { ...shape, heads: count * group, kvHeads: count },
    bytes: bytes[i],
  }));
  return stagePool(members, type);
}
