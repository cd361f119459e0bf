import { PynqLlmError } from '../errors/index.js';

/** An inclusive range of bytes, or of code points. */
export type Range = readonly [from: number, to: number];

/**
 * A place in a grammar over bytes. Places are numbered; `next` and the like are numbers of others. A rule begins at a
 * place and ends at `end`, where whoever called it goes on: with calls nested, a pushdown automaton.
 */
export type Place =
  /** One byte, in one of the ranges. */
  | { readonly kind: 'bytes'; readonly ranges: readonly Range[]; readonly next: number }
  /** Any of several ways; none at all is a dead end. */
  | { readonly kind: 'split'; readonly nexts: readonly number[] }
  | { readonly kind: 'call'; readonly rule: number; readonly next: number }
  /** The rule `body` from `least` to `most` times. */
  | {
      readonly kind: 'repeat';
      readonly body: number;
      readonly least: number;
      readonly most: number;
      readonly next: number;
    }
  | { readonly kind: 'end' };

/** Calls nest this deep at most, in a document that is recursive as in any other: it has to come to an end. */
export const MAX_DEPTH = 200;
/** More than any schema that people write needs; a hostile one is refused before it takes the agent's memory. */
const MAX_PLACES = 20_000;

/** What may be written, as a whole. */
export interface Grammar {
  readonly places: readonly Place[];
  readonly start: number;
  /** Of each place, how many calls deep the shallowest way to the end of its rule goes; infinite for a dead end. */
  readonly heights: Float64Array;
}

/** Puts a grammar together from its end to its beginning: every place is given what comes after it. */
export class GrammarBuilder {
  /** Where a rule ends. */
  readonly end: number;
  readonly #places: Place[] = [];

  constructor() {
    this.end = this.#add({ kind: 'end' });
  }

  /** @throws PynqLlmError LLM_SCHEMA_TOO_LARGE as every method that adds places */
  bytes(ranges: readonly Range[], next: number): number {
    return this.#add({ kind: 'bytes', ranges, next });
  }

  /** The very bytes of `text` in UTF-8. */
  literal(text: string, next: number): number {
    return Buffer.from(text).reduceRight((after, byte) => this.bytes([[byte, byte]], after), next);
  }

  /** Any of `nexts`. */
  anyOf(nexts: readonly number[]): number {
    return nexts.length === 1 ? nexts[0] : this.#add({ kind: 'split', nexts });
  }

  call(rule: number, next: number): number {
    return this.#add({ kind: 'call', rule, next });
  }

  /** @param most may be infinite */
  repeat(body: number, least: number, most: number, next: number): number {
    if (least > most) return this.anyOf([]);
    return this.#add({ kind: 'repeat', body, least, most, next });
  }

  /** A place that other places may name before `define` says what it is. */
  declare(): number {
    return this.#add({ kind: 'split', nexts: [] });
  }

  define(declared: number, place: number): void {
    this.#places[declared] = { kind: 'split', nexts: [place] };
  }

  /** @throws PynqLlmError LLM_SCHEMA_UNSATISFIABLE if nothing can be written */
  finish(start: number): Grammar {
    const heights = heightsOf(this.#places);
    if (heights[start] > MAX_DEPTH)
      throw new PynqLlmError(
        'LLM_SCHEMA_UNSATISFIABLE',
        'No document satisfies the schema, or none that ends: a part of it contradicts itself or requires itself.',
      );
    return { places: this.#places, start, heights };
  }

  #add(place: Place): number {
    if (this.#places.length === MAX_PLACES)
      throw new PynqLlmError(
        'LLM_SCHEMA_TOO_LARGE',
        `The schema compiles to a grammar of more than ${MAX_PLACES} places.`,
      );
    return this.#places.push(place) - 1;
  }
}

/**
 * The least solution of "a call is one deeper than its rule", in the order of the heights as in Knuth's generalisation of
 * Dijkstra's algorithm: each place is settled once, however many ways lead on from it.
 */
function heightsOf(places: readonly Place[]): Float64Array {
  const heights = new Float64Array(places.length).fill(Number.POSITIVE_INFINITY);
  const waiting = new Dependents(places);
  /** Places that can be settled, by height; what is deeper than allowed is as good as endless. */
  const reached: number[][] = Array.from({ length: MAX_DEPTH + 1 }, () => []);
  for (const [i, { kind }] of places.entries()) if (kind === 'end') reached[0].push(i);
  for (const [height, level] of reached.entries()) {
    // A level may grow while it is walked.
    for (const at of level) {
      if (heights[at] < Number.POSITIVE_INFINITY) continue;
      heights[at] = height;
      waiting.forEach(at, (other) => {
        const found = heightOver(places, heights, other, height);
        if (found <= MAX_DEPTH) reached[found].push(other);
      });
    }
  }
  return heights;
}

/** A place's height once a place that it depends on is settled at `height`; infinite as long as another one is not. */
function heightOver(places: readonly Place[], heights: Float64Array, at: number, height: number): number {
  const place = places[at];
  if (place.kind === 'call')
    // A caller that only ends itself is not returned to.
    return places[place.next].kind === 'end'
      ? heights[place.rule]
      : Math.max(1 + heights[place.rule], heights[place.next]);
  if (place.kind === 'repeat')
    return place.least === 0 ? heights[place.next] : Math.max(1 + heights[place.body], heights[place.next]);
  return height;
}

/** Of each place those whose heights depend on it, as linked lists in flat arrays. */
class Dependents {
  readonly #first: Int32Array;
  readonly #places: number[] = [];
  readonly #more: number[] = [];

  constructor(places: readonly Place[]) {
    this.#first = new Int32Array(places.length).fill(-1);
    for (const [i, place] of places.entries())
      for (const other of needs(place)) {
        this.#more.push(this.#first[other]);
        this.#first[other] = this.#places.push(i) - 1;
      }
  }

  forEach(place: number, visit: (dependent: number) => void): void {
    for (let at = this.#first[place]; at >= 0; at = this.#more[at]) visit(this.#places[at]);
  }
}

/** The places that a place's height depends on. */
function needs(place: Place): readonly number[] {
  switch (place.kind) {
    case 'end':
      return [];
    case 'bytes':
      return [place.next];
    case 'split':
      return place.nexts;
    case 'call':
      return [place.rule, place.next];
    case 'repeat':
      return [place.body, place.next];
  }
}
