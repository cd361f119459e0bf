import { join } from 'node:path';
import { expect } from 'vitest';
import type { KvCache } from '../../../../llm/kv/cache.js';
import { SpillFolder } from '../../../../llm/kv/spill-folder.js';
import type { Model } from '../../../../llm/model/model.js';
import { Random } from '../../../../maths/index.js';

/** Feeds `tokens` after what the cache holds, in one step, and returns the logits after each. */
export function feed(model: Model, cache: KvCache, tokens: readonly number[]): Float32Array[] {
  const from = cache.length;
  const columns = tokens.map((token, i) => ({
    cache,
    token,
    position: from + i,
    logits: new Float32Array(model.config.vocabSize),
  }));
  model.forward(columns);
  return columns.map(({ logits }) => logits);
}

/** Much quicker than `toEqual` on arrays. */
function haveSameBits(a: Float32Array, b: Float32Array): boolean {
  return Buffer.compare(new Uint8Array(a.buffer), new Uint8Array(b.buffer)) === 0;
}

/** Takes its tokens through all layers and fails then. */
function failingStep(model: Model, cache: KvCache, tokens: readonly number[]): void {
  const columns = tokens.map((token, i) => ({ cache, token, position: cache.length + i }));
  const last = { ...columns[columns.length - 1], logits: new Float32Array(1) };
  expect(() => model.forward([...columns.slice(0, -1), last])).toThrow(RangeError);
}

/** The logits after each of `tokens`, fed alone to a cache that shares nothing. */
export function reference(model: Model, tokens: readonly number[]): Float32Array[] {
  const cache = model.newCache();
  const logits = tokens.flatMap((token) => feed(model, cache, [token]));
  cache.release();
  return logits;
}

/** A sequence under test, the tokens that it has to hold, and the logits after those that were computed. */
interface Branch {
  readonly cache: KvCache;
  readonly tokens: number[];
  readonly logits: (Float32Array | undefined)[];
}

/** Does at random what can be done with caches, and compares all logits on the way. */
export class Monkey {
  readonly #random: Random;
  readonly #branches: Branch[] = [];
  readonly #spill: SpillFolder;
  compared = 0;

  constructor(
    readonly model: Model,
    readonly other: Model,
    seed: number,
    folder: string,
    readonly longest = 60,
  ) {
    this.#random = new Random(seed);
    this.#spill = new SpillFolder(join(folder, `monkey-${seed}`), 1 << 24);
  }

  run(actions: number): void {
    for (let i = 0; i < actions; i++) this.#act();
    for (const branch of [...this.#branches]) this.#end(branch);
  }

  #below(n: number): number {
    return Math.floor(this.#random.nextDouble() * n);
  }

  /** Few different texts, so that sequences share beginnings. */
  #text(length: number): number[] {
    const start = this.#below(2);
    const text = Array.from({ length }, (_, i) => (start + 7 * i) % 50);
    if (this.#below(3) === 0) text[this.#below(length)] = 49;
    return text;
  }

  #act(): void {
    const branch = this.#branches[this.#below(this.#branches.length)];
    const action = this.#below(9);
    if (branch === undefined || (action === 0 && this.#branches.length < 4)) this.#begin();
    else if (action === 1 && this.#branches.length < 4)
      this.#branches.push({
        cache: branch.cache.fork(),
        tokens: [...branch.tokens],
        logits: [...branch.logits],
      });
    else if (action === 2) {
      branch.cache.truncate(this.#below(branch.tokens.length + 1));
      branch.tokens.length = branch.cache.length;
      branch.logits.length = branch.cache.length;
    } else if (action === 3) branch.cache.settle();
    else if (action === 4) this.#fail(branch);
    else if (action === 5) {
      branch.cache.spill(this.#spill);
      expect(branch.cache.length).toBe(0);
      branch.cache.restore();
      expect(branch.cache.length).toBe(branch.tokens.length);
    } else if (action === 6 && this.#below(2) === 0) {
      this.#end(branch);
    } else this.#feedAll();
  }

  #end(branch: Branch): void {
    const expected = reference(this.other, branch.tokens);
    expect(branch.cache.length).toBe(branch.tokens.length);
    branch.logits.forEach((logits, i) => {
      if (logits === undefined) return;
      expect(haveSameBits(logits, expected[i]), `after ${branch.tokens.slice(0, i + 1)}`).toBe(true);
      this.compared++;
    });
    branch.cache.release();
    this.#branches.splice(this.#branches.indexOf(branch), 1);
  }

  #begin(): void {
    const prompt = this.#text(1 + this.#below(this.longest));
    const cache = this.model.newCache();
    cache.adopt(prompt);
    const tokens = prompt.slice(0, cache.length);
    const branch = { cache, tokens, logits: new Array<undefined>(tokens.length).fill(undefined) };
    this.#branches.push(branch);
    this.#step([[branch, prompt.slice(cache.length)]]);
  }

  #fail({ cache, tokens }: Branch): void {
    const more = this.#text(1 + this.#below(20));
    if (tokens.length + more.length <= cache.maxTokens) failingStep(this.model, cache, more);
    expect(cache.length).toBe(tokens.length);
  }

  #feedAll(): void {
    const shares = this.#branches
      .map((branch) => [branch, this.#text(1 + this.#below(this.longest / 6))] as const)
      .filter(([{ tokens, cache }, more]) => tokens.length + more.length <= cache.maxTokens);
    this.#step(shares);
  }

  /** All shares in one step, their columns mixed. */
  #step(shares: readonly (readonly [Branch, readonly number[]])[]): void {
    const columns = shares.flatMap(([{ cache }, tokens]) =>
      tokens.map((token, i) => ({
        cache,
        token,
        position: cache.length + i,
        logits: new Float32Array(this.model.config.vocabSize),
      })),
    );
    if (this.#below(2) === 0) columns.sort((a, b) => a.position - b.position);
    this.model.forward(columns);
    for (const [branch, tokens] of shares) branch.tokens.push(...tokens);
    for (const { cache, position, logits } of columns)
      this.#branches.find((branch) => branch.cache === cache)!.logits[position] = logits;
  }
}
