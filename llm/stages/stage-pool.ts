import { KvLayout, type KvShape, type KvType } from '../kv/layout.js';
import type { PoolShape } from '../kv/pool-shape.js';

/**
 * The pages that stages have in common: of the groups of layers, and of the frames for rows of convolutions, as many as the stage
 * with the most has, and as many pages as the stage with the fewest has room for.
 * @param stages keys and values of each stage's layers, and the bytes that they may take there
 * @throws PynqLlmError LLM_KV_TYPE
 */
export function stagePool(
  stages: readonly { readonly shape: KvShape; readonly bytes: number }[],
  type: KvType,
): PoolShape {
  const own = stages.map(({ shape }) => new KvLayout(shape, type));
  const most = (of: (layout: KvLayout) => number, layouts: readonly KvLayout[]) =>
    Math.max(...layouts.map(of));
  const groups = {
    full: most((layout) => layout.groups.full, own),
    windowed: most((layout) => layout.groups.windowed, own),
  };
  const window = most((layout) => layout.window, own);
  const noBound = { keptRowFrames: Number.POSITIVE_INFINITY, rowFrames: Number.POSITIVE_INFINITY };
  const grouped = stages.map(({ shape }) => new KvLayout(shape, type, { groups, window, ...noBound }));
  return {
    frames: Math.min(...stages.map(({ bytes }, i) => Math.floor(bytes / grouped[i]!.frameBytes))),
    groups,
    window,
    keptRowFrames: most(({ rows }) => rows?.keptFrames ?? 0, grouped),
    rowFrames: most(({ rows }) => rows?.otherFrames ?? 0, grouped),
  };
}
