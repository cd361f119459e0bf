import { KvLayout, type KvShape, type KvType } from '../kv/layout.js';
import type { PoolShape } from '../kv/pool-shape.js';

/** Keys and values of a stage's layers, and the bytes that they may take there. */
interface StageKeysValues {
  readonly shape: KvShape;
  readonly bytes: number;
}

/** More groups than that are not tried: each costs a table of its own. */
const MOST_GROUPS = 32;

/**
 * The pages that stages have in common: of as many groups of layers, and of as many frames for rows of convolutions, that the stage
 * with the fewest pages has the most.
 * @throws PynqLlmError LLM_KV_TYPE
 */
export function stagePool(stages: readonly StageKeysValues[], type: KvType): PoolShape {
  const own = stages.map(({ shape }) => new KvLayout(shape, type));
  const window = Math.max(...own.map((layout) => layout.window));
  const windowed = Math.max(...stages.map(({ shape }) => windowedOf(shape)));
  const full = Math.max(...stages.map(({ shape }) => shape.layers - windowedOf(shape)));
  let best: { readonly pool: PoolShape; readonly pages: number } | undefined;
  for (let f = Math.min(1, full); f <= Math.min(full, MOST_GROUPS); f++)
    for (let w = Math.min(1, windowed); w <= Math.min(windowed, MOST_GROUPS); w++) {
      const pool = poolOf(stages, type, { full: f, windowed: w }, window);
      const pageFrames = (type === 'int8' ? 1 : 2) * (f + w) + pool.keptRowFrames;
      const pages = pool.frames / Math.max(1, pageFrames);
      // A sixteenth more is not worth more groups.
      if (best === undefined || pages * 15 > best.pages * 16) best = { pool, pages };
    }
  if (best === undefined) throw new Error('the fewest groups are always tried');
  return best.pool;
}

/** The pool where pages have so many groups. */
function poolOf(
  stages: readonly StageKeysValues[],
  type: KvType,
  groups: PoolShape['groups'],
  window: number,
): PoolShape {
  const noBound = { keptRowFrames: Number.POSITIVE_INFINITY, rowFrames: Number.POSITIVE_INFINITY };
  const layouts = stages.map(({ shape }) => new KvLayout(shape, type, { groups, window, ...noBound }));
  return {
    frames: Math.min(...stages.map(({ bytes }, i) => Math.floor(bytes / layouts[i]!.frameBytes))),
    groups,
    window,
    keptRowFrames: Math.max(...layouts.map(({ rows }) => rows?.keptFrames ?? 0)),
    rowFrames: Math.max(...layouts.map(({ rows }) => rows?.otherFrames ?? 0)),
  };
}

function windowedOf({ layers, layerWindows = [] }: KvShape): number {
  return layerWindows.slice(0, layers).filter((window) => window > 0).length;
}
