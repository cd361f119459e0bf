import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { KvCache } from '../kv/cache.js';
import { addCost, type Cost } from '../model/cost.js';
import { forwardAgain, type StepFaults } from '../model/forward-again.js';
import type { Model } from '../model/model.js';
import { selectTop } from '../sampling/index.js';
import { draftLength } from './draft-length.js';
import type { Drafter } from './drafter.js';

/** How much the latest outcome counts. */
const WEIGHT = 0.1;
/** Before anything is known: small models of a family agree with the large one on most tokens. */
const FIRST_GUESS = 0.7;
/** While nothing is drafted the rate drifts back by this share, so that drafting is tried again after a hard passage. */
const RECOVERY = 0.02;

/**
 * Drafts what a smaller model of the same vocabulary finds likeliest. The small model has a cache of its own, which follows the
 * sequence; a step of it for each drafted token is part of what a draft costs.
 */
export class ModelDrafter implements Drafter {
  readonly #model: Model;
  readonly #cost: Cost;
  readonly #faults: StepFaults;
  readonly #tokens: number[] = [];
  /** The tokens that the small model's cache holds. */
  #cached: number[] = [];
  #cache: KvCache | undefined;
  #logits: Float32Array | undefined;
  /** Whether the small model had pages for the sequence so far: without them nothing is drafted any more. */
  #hasRoom = true;
  #rate = FIRST_GUESS;
  #draft: readonly number[] = [];
  /** Cycles of a plain step of the model that verifies. */
  #stepCycles = Number.POSITIVE_INFINITY;
  /** Tokens since then, all of them as drafted. */
  #right = 0;

  /**
   * @param model smaller, of the same vocabulary
   * @param cost what the small model's steps are added to
   * @param faults where the small model's steps are counted in which the device fails
   */
  constructor(model: Model, cost: Cost, faults: StepFaults) {
    this.#model = model;
    this.#cost = cost;
    this.#faults = faults;
  }

  push(token: number): void {
    this.#learn(token);
    this.#tokens.push(token);
  }

  worth(most: number, cycles: (columns: number) => number): number {
    if (!this.#hasRoom) return 0;
    const room = Math.min(most, this.#model.contextLength - this.#tokens.length);
    const own = this.#model.coreCycles(1);
    this.#stepCycles = cycles(1);
    return draftLength(
      () => this.#rate,
      room,
      (columns) => cycles(columns) + own * (columns - 1),
    );
  }

  /** Nothing where the small model has no room for another cache: the sequence goes on without a draft. */
  propose(length: number): readonly number[] {
    const before = this.#model.cost();
    this.#right = 0;
    try {
      this.#draft = this.#generate(length);
      return this.#draft;
    } catch (error) {
      this.#draft = [];
      if (!isPynqLlmError(error, 'LLM_KV_FULL')) throw error;
      this.release();
      this.#hasRoom = false;
      return [];
    } finally {
      addCost(this.#cost, before, this.#model.cost(), 1);
    }
  }

  release(): void {
    this.#cache?.release();
    this.#cache = undefined;
    this.#cached = [];
  }

  #generate(length: number): number[] {
    const cache = this.#followed();
    const drafted: number[] = [];
    let next = this.#tokens.slice(this.#cached.length);
    const most = this.#columnsOfStep();
    if (next.length > most) {
      this.#feed(cache, next.slice(0, most));
      return [];
    }
    while (drafted.length < length) {
      const token = this.#likeliestAfter(cache, next);
      drafted.push(token);
      next = [token];
    }
    return drafted;
  }

  /** A long prompt is taken in steps, each at most as dear as a plain one of the model: others wait for it too. */
  #columnsOfStep(): number {
    const { maxColumns } = this.#model;
    let columns = 1;
    while (columns < maxColumns && this.#model.coreCycles(columns + 1) <= this.#stepCycles) columns++;
    return columns;
  }

  /** The cache, without what was drafted in vain. At least the last token is left to be computed: its logits are wanted. */
  #followed(): KvCache {
    const most = Math.min(this.#cached.length, this.#tokens.length - 1);
    let right = 0;
    while (right < most && this.#cached[right] === this.#tokens[right]) right++;
    this.#cache ??= this.#model.newCache();
    this.#cache.truncate(right);
    this.#cache.adopt(this.#tokens);
    this.#cached = this.#tokens.slice(0, this.#cache.length);
    return this.#cache;
  }

  #likeliestAfter(cache: KvCache, tokens: readonly number[]): number {
    this.#logits ??= new Float32Array(this.#model.config.vocabSize);
    this.#feed(cache, tokens, this.#logits);
    const [best = 0] = selectTop(this.#logits, 1);
    return best;
  }

  /** @param logits to be filled after the last of the tokens */
  #feed(cache: KvCache, tokens: readonly number[], logits?: Float32Array): void {
    const from = cache.length;
    const columns = tokens.map((token, i) => ({ cache, token, position: from + i }));
    const last = columns.pop();
    if (last === undefined) return;
    forwardAgain(this.#model, [...columns, { ...last, ...(logits && { logits }) }], this.#faults);
    this.#cached.push(...tokens);
  }

  #learn(token: number): void {
    if (this.#right >= this.#draft.length) {
      this.#rate += RECOVERY * (FIRST_GUESS - this.#rate);
      return;
    }
    const isRight = token === this.#draft[this.#right];
    this.#rate += WEIGHT * ((isRight ? 1 : 0) - this.#rate);
    if (isRight) this.#right++;
    else this.#draft = [];
  }
}

/** By model, the draft models whose vocabularies were found equal: whole vocabularies are not compared at every request. */
const compared = new WeakMap<Model, WeakSet<Model>>();

/**
 * A draft model has to mean the same by every token.
 * @throws PynqLlmError LLM_DRAFT_MODEL
 */
export function checkDraftModel(model: Model, draft: Model): void {
  const known = compared.get(model) ?? new WeakSet();
  if (known.has(draft)) return;
  const [large, small] = [model.tokenizer, draft.tokenizer];
  const differs =
    large.vocabSize !== small.vocabSize
      ? `it has ${small.vocabSize} tokens, the model ${large.vocabSize}`
      : firstDifference(model, draft);
  if (differs === undefined) {
    compared.set(model, known.add(draft));
    return;
  }
  throw new PynqLlmError('LLM_DRAFT_MODEL', `${draft.config.name} cannot draft for this model: ${differs}.`);
}

function firstDifference({ tokenizer: large }: Model, { tokenizer: small }: Model): string | undefined {
  for (let id = 0; id < large.vocabSize; id++)
    if (Buffer.compare(large.pieceBytes(id), small.pieceBytes(id)) !== 0) return `token ${id} is another one`;
  return undefined;
}
