import { ALL, intersection } from './code-points.js';
import type { GrammarBuilder, Range } from './grammar.js';
import { anyCharacterRule, characterPlace, PLAIN_ASCII } from './json-string.js';
import type { Regex, RegexBuilder } from './regex.js';

/** Writes the texts of regular expressions as the insides of JSON strings. */
export class StringPlaces {
  readonly #grammar: GrammarBuilder;
  readonly #builder: RegexBuilder;
  /** Rules for one character, by its ranges. */
  readonly #characters = new Map<string, number>();
  readonly #known = new Map<string, number>();
  readonly #plain = new Map<Regex, boolean>();

  constructor(grammar: GrammarBuilder, builder: RegexBuilder) {
    this.#grammar = grammar;
    this.#builder = builder;
    this.#characters.set(String(ALL), anyCharacterRule(grammar));
  }

  /** A text of `regex`, without the quotation marks. */
  place(regex: Regex, next: number): number {
    const key = `${regex.id} ${next}`;
    let place = this.#known.get(key);
    if (place === undefined) {
      place = this.#isPlain(regex) ? this.#plainPlace(regex, next) : this.#automaton(regex, next);
      this.#known.set(key, place);
    }
    return place;
  }

  /** By the expression's structure, where it has no intersections and complements: what is repeated is counted. */
  #plainPlace(regex: Regex, next: number): number {
    switch (regex.kind) {
      case 'characters':
        return this.#character(regex.ranges, next);
      case 'sequence': {
        const parts: Regex[] = [];
        let rest: Regex = regex;
        for (; rest.kind === 'sequence'; rest = rest.rest) parts.push(rest.first);
        return parts.reduceRight((after, part) => this.place(part, after), this.place(rest, next));
      }
      case 'either':
        return this.#grammar.anyOf(regex.ways.map((way) => this.place(way, next)));
      case 'repeat': {
        const body = this.place(regex.body, this.#grammar.end);
        return this.#grammar.repeat(body, regex.least, regex.most, next);
      }
      default:
        return next;
    }
  }

  /** By its derivatives, each a state of a finite automaton; where characters are counted, each count has its own states. */
  #automaton(whole: Regex, next: number): number {
    const { rest, least, most } = this.#builder.splitCount(whole);
    const isCounted = rest !== whole;
    const lastCount = most === Number.POSITIVE_INFINITY ? least : most;
    const states = new Map<string, { place: number; regex: Regex; count: number }>();
    const stateOf = (regex: Regex, count: number): number => {
      // What has no intersections any more is written by its structure.
      if (!isCounted && this.#isPlain(regex)) return this.place(regex, next);
      const key = `${regex.id} ${count}`;
      const state = states.get(key) ?? { place: this.#grammar.declare(), regex, count };
      states.set(key, state);
      return state.place;
    };
    const start = stateOf(rest, 0);
    // A map may grow while it is walked.
    for (const { place, regex, count } of states.values()) {
      const ways = regex.isNullable && count >= least ? [next] : [];
      if (count < most)
        for (const { ranges, after } of this.#builder.edgesOf(regex))
          ways.push(this.#character(ranges, stateOf(after, Math.min(count + 1, lastCount))));
      this.#grammar.define(place, this.#grammar.anyOf(ways));
    }
    return start;
  }

  #isPlain(regex: Regex): boolean {
    let isPlain = this.#plain.get(regex);
    if (isPlain === undefined) {
      isPlain = this.#findPlain(regex);
      this.#plain.set(regex, isPlain);
    }
    return isPlain;
  }

  #findPlain(regex: Regex): boolean {
    switch (regex.kind) {
      case 'both':
      case 'not':
        return false;
      case 'sequence':
        return this.#isPlain(regex.first) && this.#isPlain(regex.rest);
      case 'either':
        return regex.ways.every((way) => this.#isPlain(way));
      case 'repeat':
        return this.#isPlain(regex.body);
      default:
        return true;
    }
  }

  #character(ranges: readonly Range[], next: number): number {
    const ascii = intersection(ranges, PLAIN_ASCII);
    if (String(ascii) === String(ranges)) return this.#grammar.bytes(ranges, next);
    const key = String(ranges);
    let rule = this.#characters.get(key);
    if (rule === undefined) {
      rule = characterPlace(this.#grammar, ranges, this.#grammar.end);
      this.#characters.set(key, rule);
    }
    return this.#grammar.call(rule, next);
  }
}
