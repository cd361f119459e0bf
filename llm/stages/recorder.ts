import { isPynqLlmError } from '../../errors/index.js';
import { KvCache } from '../kv/cache.js';
import type { KvPool } from '../kv/pool.js';
import type { CacheMaker } from '../model/model.js';
import type { CacheChange } from './batch.js';

/** Notes what happens to the caches of a pool, in order, for those who do the same on theirs. */
export class CacheRecorder implements CacheMaker {
  readonly #numbers = new WeakMap<KvCache, number>();
  #changes: CacheChange[] = [];
  #caches = 0;
  #pins = 0;

  newCache(pool: KvPool, maxTokens: number): KvCache {
    return new RecordedCache(pool, maxTokens, this);
  }

  pinned(tokens: readonly number[]): () => void {
    const pin = this.#pins++;
    this.note({ kind: 'pin', pin, tokens: [...tokens] });
    return () => this.#unpin(pin);
  }

  /**
   * A pin that came and went with nothing but other pins in between has only this effect: its pages count as used last from its end
   * on. So it is noted there, and not again where it was before: an engine that has nothing to compute, and so tells nobody, has at
   * most one for each prefix in the pool.
   */
  #unpin(pin: number): void {
    const from = this.#changes.findLastIndex(({ kind }) => kind !== 'pin' && kind !== 'unpin') + 1;
    const recent = this.#changes.splice(from);
    const at = recent.findIndex((change) => change.kind === 'pin' && change.pin === pin);
    const [pinned] = at < 0 ? [] : recent.splice(at, 1);
    if (pinned?.kind === 'pin') {
      const before = recent.findIndex((change, i) => isOver(change, recent[i + 1], pinned.tokens));
      if (before >= 0) recent.splice(before, 2);
      recent.push(pinned);
    }
    this.#changes.push(...recent, { kind: 'unpin', pin });
  }

  cleared(): void {
    this.note({ kind: 'clear' });
  }

  note(change: CacheChange): void {
    this.#changes.push(change);
  }

  /** Gives a cache the next number. */
  number(cache: KvCache): void {
    this.#numbers.set(cache, this.#caches++);
  }

  numberOf(cache: KvCache): number {
    const number = this.#numbers.get(cache);
    if (number === undefined) throw new Error('caches of a pool that is mirrored are made by its recorder');
    return number;
  }

  /** What happened since it was last asked. */
  take(): CacheChange[] {
    const changes = this.#changes;
    this.#changes = [];
    return changes;
  }
}

/** Whether a pin of these tokens ends as soon as it begins. */
function isOver(change: CacheChange, next: CacheChange | undefined, tokens: readonly number[]): boolean {
  if (change.kind !== 'pin' || next?.kind !== 'unpin' || next.pin !== change.pin) return false;
  return change.tokens.length === tokens.length && change.tokens.every((token, i) => token === tokens[i]);
}

/** Notes each call that changes it, once it has succeeded, and not those that the cache makes itself meanwhile. */
class RecordedCache extends KvCache {
  readonly #pool: KvPool;
  readonly #recorder: CacheRecorder;
  #isInside = false;

  constructor(pool: KvPool, maxTokens: number, recorder: CacheRecorder) {
    super(pool, maxTokens);
    this.#pool = pool;
    this.#recorder = recorder;
    recorder.number(this);
  }

  override adopt(tokens: readonly number[]): void {
    const before = this.length;
    this.#noted(
      () => super.adopt(tokens),
      (cache) => ({ kind: 'adopt', cache, tokens: this.tokens.slice(before) }),
    );
  }

  override reserve(length: number): number {
    const asked = Math.min(length, this.maxTokens);
    const note = (reached: number) => (cache: number) =>
      ({ kind: 'reserve', cache, length: asked, reached }) as const;
    let reached = this.length;
    try {
      reached = this.#noted(() => super.reserve(asked));
    } catch (error) {
      // What is thrown out in vain is thrown out.
      if (isPynqLlmError(error, 'LLM_KV_FULL')) this.#note(note(reached));
      throw error;
    }
    this.#note(note(reached));
    return reached;
  }

  /** A column's: those who do the same see it in the batch. */
  override extendTo(position: number, token: number): void {
    this.#noted(() => super.extendTo(position, token));
  }

  override truncate(length: number): void {
    this.#noted(
      () => super.truncate(length),
      (cache) => ({ kind: 'truncate', cache, length }),
    );
  }

  override settle(certain = this.length): void {
    this.#noted(
      () => super.settle(certain),
      (cache) => ({ kind: 'settle', cache, certain }),
    );
  }

  override fork(): KvCache {
    let into: KvCache | undefined;
    return this.#noted(
      () => {
        into = super.fork();
        return into;
      },
      (cache) => ({ kind: 'fork', cache, into: this.#recorder.numberOf(into!) }),
    );
  }

  override release(): void {
    this.#noted(
      () => super.release(),
      (cache) => ({ kind: 'release', cache }),
    );
  }

  protected override sibling(): KvCache {
    return new RecordedCache(this.#pool, this.maxTokens, this.#recorder);
  }

  #noted<T>(call: () => T, change?: (cache: number) => CacheChange): T {
    const isOutermost = !this.#isInside;
    this.#isInside = true;
    try {
      const result = call();
      if (isOutermost && change !== undefined) this.#recorder.note(change(this.#recorder.numberOf(this)));
      return result;
    } finally {
      if (isOutermost) this.#isInside = false;
    }
  }

  #note(change: (cache: number) => CacheChange): void {
    if (!this.#isInside) this.#recorder.note(change(this.#recorder.numberOf(this)));
  }
}
