import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { KvCache } from '../kv/cache.js';
import type { KvPin } from '../kv/pool.js';
import type { Column } from '../model/column.js';
import type { Model } from '../model/model.js';
import type { CacheChange, StageBatch } from './batch.js';

/** Each takes tables for as many pages as a sequence can have: a board that lies must not fill another one's memory with them. */
const MOST_CACHES = 4_096;

/**
 * Caches of a stage that follow those of the stage that schedules, change by change. A pool knows no clock and no chance, so the
 * same changes in the same order give the same pages, those included that are shared, copied, and thrown out for others.
 */
export class CacheMirror {
  readonly #model: Model;
  readonly #caches = new Map<number, KvCache>();
  readonly #pins = new Map<number, KvPin>();

  constructor(model: Model) {
    this.#model = model;
  }

  /**
   * Does what happened before a batch, and makes places for its columns.
   * @returns its columns, on caches of this pool; none of them has room for logits
   * @throws PynqLlmError LLM_STAGE_DIVERGED, after which all is to be forgotten
   */
  follow({ number, changes, columns, freeFrames }: StageBatch): Column[] {
    try {
      for (const change of changes) this.#apply(change);
      const own = columns.map(({ cache, token, position }) => ({
        cache: this.#cacheOf(cache),
        token,
        position,
      }));
      checkPlaces(own);
      this.#model.extend(own);
      const free = this.#model.kvPool.memory.freeFrames;
      if (free !== freeFrames) throw diverged(`${free} frames are free here and ${freeFrames} there`);
      return own;
    } catch (error) {
      if (!isPynqLlmError(error) || error.code === 'LLM_MODEL_CLOSED') throw error;
      throw new PynqLlmError(
        'LLM_STAGE_DIVERGED',
        `Micro-batch ${number} cannot be followed: ${error.what}`,
        {
          cause: error,
          context: { ...error.context, number },
        },
      );
    }
  }

  /** Forgets everything: a plan has ended. */
  reset(): void {
    for (const cache of this.#caches.values()) cache.release();
    this.#caches.clear();
    for (const pin of this.#pins.values()) pin.release();
    this.#pins.clear();
    this.#model.kvPool.clear();
  }

  #apply(change: CacheChange): void {
    const { kvPool } = this.#model;
    switch (change.kind) {
      case 'pin':
        if (this.#pins.has(change.pin)) throw diverged(`pin ${change.pin} is there already`);
        this.#pins.set(change.pin, kvPool.pin(change.tokens));
        return;
      case 'unpin':
        this.#pins.get(change.pin)?.release();
        this.#pins.delete(change.pin);
        return;
      case 'clear':
        kvPool.clear();
        return;
      default:
        this.#applyTo(this.#cacheOf(change.cache), change);
    }
  }

  #applyTo(cache: KvCache, change: Extract<CacheChange, { readonly cache: number }>): void {
    switch (change.kind) {
      case 'adopt': {
        const length = cache.length + change.tokens.length;
        // The last one is never adopted, whatever it is.
        cache.adopt([...cache.tokens, ...change.tokens, 0]);
        if (cache.length !== length)
          throw diverged(`of ${length} tokens ${cache.length} are there to be shared`);
        return;
      }
      case 'reserve': {
        const reached = reserve(cache, change.length);
        if (reached !== change.reached)
          throw diverged(`there is room for ${reached} tokens here and for ${change.reached} there`);
        return;
      }
      case 'truncate':
        cache.truncate(change.length);
        return;
      case 'settle':
        if (change.certain > cache.length)
          throw diverged(`${change.certain} tokens are certain of a cache that has ${cache.length}`);
        cache.settle(change.certain);
        return;
      case 'fork':
        if (this.#caches.has(change.into)) throw diverged(`cache ${change.into} is there already`);
        this.#caches.set(change.into, cache.fork());
        return;
      case 'release':
        cache.release();
        this.#caches.delete(change.cache);
    }
  }

  #cacheOf(number: number): KvCache {
    let cache = this.#caches.get(number);
    if (cache === undefined) {
      if (this.#caches.size >= MOST_CACHES) throw diverged(`more than ${MOST_CACHES} caches were begun`);
      cache = this.#model.newCache();
      this.#caches.set(number, cache);
    }
    return cache;
  }
}

/** An earlier place would take those of other columns away. */
function checkPlaces(columns: readonly Column[]): void {
  const ends = new Map<KvCache, number>();
  for (const { cache, position } of columns) {
    const end = ends.get(cache) ?? cache.length;
    if (position !== end) throw diverged(`a column is for position ${position} where ${end} is the next one`);
    ends.set(cache, end + 1);
  }
}

/** @returns how many tokens there is room for */
function reserve(cache: KvCache, length: number): number {
  const before = cache.length;
  try {
    return cache.reserve(length);
  } catch (error) {
    if (isPynqLlmError(error, 'LLM_KV_FULL')) return before;
    throw error;
  }
}

function diverged(what: string): PynqLlmError {
  return new PynqLlmError('LLM_STAGE_DIVERGED', `${what}.`);
}
