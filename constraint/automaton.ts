import { PynqLlmError } from '../errors/index.js';
import { Choices, intervalOf } from './choices.js';
import { type Grammar, MAX_DEPTH, type Place } from './grammar.js';

/**
 * Ways, places and edges looked at for one mask, all the texts of the vocabulary together: some 10 ms on x86-64. A schema
 * of very many alternatives that begin alike needs more, and would hold up everybody's tokens.
 */
export const MAX_MASK_WORK = 20_000;
/** Items, states and words of masks kept from earlier steps, in the size of an item; past that all is computed anew. */
const MAX_KEPT = 50_000;
/** Words of a mask that take the memory of an item. */
const WORDS_PER_ITEM = 32;
/** Counts are below: a place and a count are one exact number together. */
const COUNT_RANGE = 2 ** 32;

/** A place with a repetition's count, on top of the places where its callers go on. */
class Item {
  children: Map<number, Item> | undefined;
  readonly depth: number;

  /** @param canonical of the items that allow the same next bytes as this one, one that stands for all; itself if undefined */
  constructor(
    readonly id: number,
    readonly place: number,
    readonly count: number,
    readonly parent: Item | undefined,
    readonly canonical: Item | undefined,
  ) {
    this.depth = parent === undefined ? 0 : parent.depth + 1;
  }
}

/** Where a text stands in the grammar: all ways to read it, each before its next byte. */
export class State {
  /** The bytes at which other ways begin to lead on, from 0: all bytes of an interval lead to the same state. */
  bounds: readonly number[] | undefined;
  /** By interval the state after it, null if no way leads on, undefined if not known yet. */
  readonly next: (State | null | undefined)[] = [];
  /** The state that stands for this one and all others that allow the same tokens. */
  canonical: State | undefined;
  /** Which tokens may come next, once somebody has asked. */
  mask: Uint32Array | undefined;

  /** @param isComplete whether the text is a whole document */
  constructor(
    readonly items: readonly Item[],
    readonly isComplete: boolean,
  ) {}
}

/**
 * Runs a grammar over bytes as a nondeterministic pushdown automaton, all ways side by side. Stacks and states are shared
 * and remembered, so that text that has been seen costs a map access a byte.
 */
export class Automaton {
  readonly #places: readonly Place[];
  readonly #grammar: Grammar;
  readonly #choices: Choices;
  readonly #horizon: number;
  #root: Item;
  #states = new Map<string, State>();
  #kept = 0;
  #nextId = 0;
  #work = 0;

  /** @param horizon bytes that a token has at most: counts further from their limits than that allow the same tokens */
  constructor(grammar: Grammar, horizon: number) {
    this.#grammar = grammar;
    this.#places = grammar.places;
    this.#horizon = horizon;
    this.#choices = new Choices(grammar.places);
    this.#root = this.#newRoot();
  }

  /** Before the first byte. */
  get start(): State {
    this.beginWork();
    const ways = new Ways();
    ways.add(this.#root);
    this.#expandAll(ways);
    return this.#stateOf(ways);
  }

  /**
   * After one more byte; undefined if none of the ways allows it.
   * @throws PynqLlmError LLM_SCHEMA_TOO_LARGE where there are too many ways
   */
  step(state: State, byte: number): State | undefined {
    state.bounds ??= this.#boundsOf(state);
    const interval = intervalOf(state.bounds, byte);
    const known = state.next[interval];
    if (known !== undefined) return known ?? undefined;
    const ways = new Ways();
    for (const item of state.items) {
      this.#spend(1);
      for (const next of this.#choices.of(item.place).after(byte)) this.#go(next, item.parent, ways);
    }
    this.#expandAll(ways);
    const next = ways.isEmpty ? null : this.#stateOf(ways);
    state.next[interval] = next;
    this.#kept++;
    return next ?? undefined;
  }

  /** Places, ways and edges looked at since `beginWork`. */
  get work(): number {
    return this.#work + this.#choices.work;
  }

  /** The state that stands for all that allow the same tokens as `state`. */
  canonical(state: State): State {
    if (state.canonical !== undefined) return state.canonical;
    const ways = new Ways();
    ways.isComplete = state.isComplete;
    for (const item of state.items) ways.items.add(item.canonical ?? item);
    state.canonical = this.#stateOf(ways);
    return state.canonical;
  }

  /** Keeps the mask of a state. */
  keep(state: State, mask: Uint32Array): void {
    state.mask = mask;
    this.#kept += mask.length / WORDS_PER_ITEM;
  }

  /** Before a mask is computed or a token accepted: frees what is remembered once it is much. States in use go on to work. */
  beginWork(): void {
    this.#work = 0;
    this.#choices.work = 0;
    if (this.#kept <= MAX_KEPT) return;
    this.#states = new Map();
    this.#kept = 0;
    this.#root = this.#newRoot();
  }

  #newRoot(): Item {
    return new Item(this.#nextId++, this.#grammar.start, 0, undefined, undefined);
  }

  #stateOf(ways: Ways): State {
    const items = [...ways.items].toSorted((a, b) => a.id - b.id);
    const key = `${ways.isComplete ? '!' : ''}${items.map(({ id }) => id).join(' ')}`;
    let state = this.#states.get(key);
    if (state === undefined) {
      state = new State(items, ways.isComplete);
      this.#states.set(key, state);
      this.#kept += 1 + items.length;
    }
    return state;
  }

  /** Goes to a place with `parent` to return to; dead ends, and what would nest too deeply to end, are left out. */
  #go(place: number, parent: Item | undefined, ways: Ways): void {
    const depth = parent === undefined ? 0 : parent.depth + 1;
    if (depth + this.#grammar.heights[place] > MAX_DEPTH) return;
    ways.add(this.#item(place, 0, parent));
  }

  /** Follows all ways to their next bytes. */
  #expandAll(ways: Ways): void {
    for (let item = ways.pending.pop(); item !== undefined; item = ways.pending.pop())
      this.#expand(item, ways);
  }

  #expand(item: Item, ways: Ways): void {
    const choice = this.#choices.of(item.place);
    this.#spend(1 + choice.others.length);
    if (choice.bounds.length > 1) ways.items.add(item);
    for (const other of choice.others)
      if (item.depth + this.#grammar.heights[other] <= MAX_DEPTH)
        this.#follow(other, other === item.place ? item.count : 0, item.parent, ways);
  }

  /** Follows a place that reads no byte itself. @param count of a repetition, how often it has been there */
  #follow(at: number, count: number, parent: Item | undefined, ways: Ways): void {
    const place = this.#places[at];
    switch (place.kind) {
      case 'end':
        if (parent === undefined) ways.isComplete = true;
        else ways.add(parent);
        return;
      case 'call':
        // A caller that only ends itself need not be returned to.
        if (this.#places[place.next].kind === 'end') this.#go(place.rule, parent, ways);
        else this.#enter(place.rule, place.next, 0, parent, ways);
        return;
      case 'repeat':
        if (count >= place.least) this.#go(place.next, parent, ways);
        if (count < place.most) {
          const isCounted = count < place.least || place.most !== Number.POSITIVE_INFINITY;
          this.#enter(place.body, at, isCounted ? count + 1 : count, parent, ways);
        }
    }
  }

  /** The bytes at which one of the ways begins to lead on elsewhere. */
  #boundsOf(state: State): readonly number[] {
    const bounds = new Set<number>([0]);
    for (const place of new Set(state.items.map((item) => item.place))) {
      const own = this.#choices.of(place).bounds;
      this.#spend(own.length);
      for (const bound of own) bounds.add(bound);
    }
    this.#spend(state.items.length);
    return [...bounds].toSorted((a, b) => a - b);
  }

  #spend(work: number): void {
    this.#work += work;
    if (this.work > MAX_MASK_WORK)
      throw new PynqLlmError(
        'LLM_SCHEMA_TOO_LARGE',
        'The schema has too many alternatives that begin alike.',
      );
  }

  /** Begins a rule, after which `place` goes on. */
  #enter(rule: number, place: number, count: number, parent: Item | undefined, ways: Ways): void {
    this.#go(rule, this.#item(place, count, parent), ways);
  }

  #item(place: number, count: number, parent: Item | undefined): Item {
    const owner = parent ?? this.#root;
    const key = place * COUNT_RANGE + count;
    let item = owner.children?.get(key);
    if (item === undefined) {
      const canonicalParent = parent?.canonical ?? parent;
      const canonicalCount = this.#canonicalCount(this.#places[place], count);
      const isCanonical = canonicalParent === parent && canonicalCount === count;
      const canonical = isCanonical ? undefined : this.#item(place, canonicalCount, canonicalParent);
      item = new Item(this.#nextId++, place, count, parent, canonical);
      owner.children ??= new Map();
      owner.children.set(key, item);
      this.#kept++;
    }
    return item;
  }

  /** The least count that allows the same within the horizon. A repetition reads at least one byte each time. */
  #canonicalCount(place: Place, count: number): number {
    if (place.kind !== 'repeat') return count;
    const { least, most } = place;
    if (count + this.#horizon < least) return 0;
    return count >= least && count + this.#horizon < most ? least : count;
  }
}

/** Ways that are being gathered. */
class Ways {
  readonly items = new Set<Item>();
  readonly seen = new Set<Item>();
  /** Of those seen, the ones whose places have not been looked at. */
  readonly pending: Item[] = [];
  isComplete = false;

  add(item: Item): void {
    if (this.seen.has(item)) return;
    this.seen.add(item);
    this.pending.push(item);
  }

  get isEmpty(): boolean {
    return this.items.size === 0 && !this.isComplete;
  }
}
