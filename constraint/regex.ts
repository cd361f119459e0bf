import { PynqLlmError } from '../errors/index.js';
import { ALL, intersection, normalised } from './code-points.js';
import type { Range } from './grammar.js';

/** A set of texts over code points; each that is built once is one object, with a number. */
export type Regex = { readonly id: number; readonly isNullable: boolean } & Form;

type Form =
  | { readonly kind: 'characters'; readonly ranges: readonly Range[] }
  | { readonly kind: 'sequence'; readonly first: Regex; readonly rest: Regex }
  | { readonly kind: 'either'; readonly ways: readonly Regex[] }
  | { readonly kind: 'both'; readonly parts: readonly Regex[] }
  | { readonly kind: 'not'; readonly body: Regex }
  | { readonly kind: 'repeat'; readonly body: Regex; readonly least: number; readonly most: number }
  | { readonly kind: 'empty' };

const MAX_EXPRESSIONS = 20_000;
/** Derivatives, ways and bounds looked at for all patterns of a schema together: some 50 ms on x86-64. */
const MAX_WORK = 30_000;
interface Edge {
  readonly ranges: readonly Range[];
  readonly after: Regex;
}

interface Lengths {
  readonly least: number;
  readonly most: number;
}

const ENDLESS = Number.POSITIVE_INFINITY;
const LAST_CODE = 0x10ffff;

/**
 * Builds regular expressions with intersection and complement, and takes their derivatives by a character: what may come
 * after it (J. A. Brzozowski, Derivatives of Regular Expressions, 1964). Alternatives are kept in order without
 * duplicates, which leaves finitely many derivatives.
 */
export class RegexBuilder {
  readonly #known = new Map<string, Regex>();
  readonly #bounds = new Map<Regex, readonly number[]>();
  readonly #derivatives = new Map<Regex, Map<number, Regex>>();
  readonly #edges = new Map<Regex, readonly Edge[]>();
  readonly #lengths = new Map<Regex, Lengths>();
  readonly #patterns = new Map<string, Regex>();
  #work = 0;
  /** No text at all. */
  readonly nothing: Regex = this.#make({ kind: 'characters', ranges: [] }, '[]', false);
  /** The empty text alone. */
  readonly empty: Regex = this.#make({ kind: 'empty' }, '', true);
  /** One character, whichever. */
  readonly any: Regex = this.characters(ALL);
  /** Any text. */
  readonly anything: Regex = this.repeat(this.any, 0, ENDLESS);

  /** @throws PynqLlmError LLM_SCHEMA_TOO_LARGE as every method */
  characters(ranges: readonly Range[]): Regex {
    const inOrder = normalised(ranges);
    return this.#make({ kind: 'characters', ranges: inOrder }, `[${inOrder.join(' ')}]`, false);
  }

  /** What `make` makes of a pattern, once. */
  ofPattern(pattern: string, make: () => Regex): Regex {
    const regex = this.#patterns.get(pattern) ?? make();
    this.#patterns.set(pattern, regex);
    return regex;
  }

  text(text: string): Regex {
    return [...text].reduceRight((rest, character) => {
      const code = character.codePointAt(0) ?? 0;
      return this.sequence(this.characters([[code, code]]), rest);
    }, this.empty);
  }

  sequence(first: Regex, rest: Regex): Regex {
    if (first === this.nothing || rest === this.nothing) return this.nothing;
    if (first === this.empty) return rest;
    if (rest === this.empty) return first;
    if (first.kind === 'sequence') return this.sequence(first.first, this.sequence(first.rest, rest));
    const isNullable = first.isNullable && rest.isNullable;
    return this.#make({ kind: 'sequence', first, rest }, `.${first.id} ${rest.id}`, isNullable);
  }

  either(ways: readonly Regex[]): Regex {
    const all = new Set(ways.flatMap((way) => (way.kind === 'either' ? way.ways : [way])));
    all.delete(this.nothing);
    if (all.has(this.anything)) return this.anything;
    const sets = [...all].filter((way) => way.kind === 'characters');
    if (sets.length > 1) {
      for (const set of sets) all.delete(set);
      all.add(this.characters(sets.flatMap(({ ranges }) => ranges)));
    }
    const inOrder = this.#inOrder(all);
    if (inOrder.length < 2) return inOrder[0] ?? this.nothing;
    const isNullable = inOrder.some((way) => way.isNullable);
    return this.#make({ kind: 'either', ways: inOrder }, `|${inOrder.map(({ id }) => id)}`, isNullable);
  }

  both(parts: readonly Regex[]): Regex {
    const all = new Set(parts.flatMap((part) => (part.kind === 'both' ? part.parts : [part])));
    all.delete(this.anything);
    if (all.has(this.nothing)) return this.nothing;
    const isNullable = [...all].every((part) => part.isNullable);
    if (all.has(this.empty)) return isNullable ? this.empty : this.nothing;
    const runs = [...all].filter((part) => runOf(part) !== undefined);
    for (const run of runs) all.delete(run);
    const run = this.#commonRun(runs);
    if (all.size === 0 || run === this.nothing) return run;
    if (run === this.empty) return [...all].every((part) => part.isNullable) ? run : this.nothing;
    // Which characters and how many are parts of their own: whoever builds an automaton counts beside its states.
    const { ranges, least, most } = runOf(run) ?? ANY_RUN;
    all.add(this.repeat(this.characters(ranges), 0, ENDLESS)).add(this.repeat(this.any, least, most));
    all.delete(this.anything);
    const inOrder = this.#inOrder(all);
    if (inOrder.length < 2) return inOrder[0] ?? this.anything;
    return this.#make({ kind: 'both', parts: inOrder }, `&${inOrder.map(({ id }) => id)}`, isNullable);
  }

  /** Characters that are in all of some runs, as often as all allow. */
  #commonRun(parts: readonly Regex[]): Regex {
    const runs = parts.map((part) => runOf(part) ?? ANY_RUN);
    const ranges = runs.reduce((common, run) => intersection(common, run.ranges), ANY_RUN.ranges);
    const least = Math.max(0, ...runs.map((run) => run.least));
    const most = Math.min(ENDLESS, ...runs.map((run) => run.most));
    return this.repeat(this.characters(ranges), least, most);
  }

  not(body: Regex): Regex {
    if (body.kind === 'not') return body.body;
    if (body === this.nothing) return this.anything;
    if (body === this.anything) return this.nothing;
    return this.#make({ kind: 'not', body }, `!${body.id}`, !body.isNullable);
  }

  /** @param most may be endless */
  repeat(body: Regex, least: number, most: number): Regex {
    if (least > most) return this.nothing;
    if (most === 0 || body === this.empty) return this.empty;
    if (body === this.nothing) return least === 0 ? this.empty : this.nothing;
    if (least === 1 && most === 1) return body;
    if (body.kind === 'repeat' && body.least === 0 && body.most === ENDLESS) return body;
    // Repeating what may be empty so often at least says nothing more than that it may be there.
    const needed = body.isNullable ? 0 : least;
    return this.#make(
      { kind: 'repeat', body, least: needed, most },
      `*${body.id} ${needed} ${most}`,
      needed === 0,
    );
  }

  /** Where, in the order of code points, the derivatives change: from 0, the same ones up to the next. */
  #boundsOf(regex: Regex): readonly number[] {
    let bounds = this.#bounds.get(regex);
    if (bounds === undefined) {
      const found = this.#findBounds(regex).filter((code) => code <= LAST_CODE);
      bounds = [...new Set([0, ...found])].toSorted((a, b) => a - b);
      this.spend(bounds.length);
      this.#bounds.set(regex, bounds);
    }
    return bounds;
  }

  /** Takes from an intersection how many characters there are. */
  splitCount(regex: Regex): Lengths & { readonly rest: Regex } {
    const isCount = (part: Regex) => part.kind === 'repeat' && part.body === this.any;
    const count = regex.kind === 'both' ? regex.parts.find(isCount) : undefined;
    if (regex.kind !== 'both' || count?.kind !== 'repeat') return { rest: regex, least: 0, most: ENDLESS };
    const rest = this.both(regex.parts.filter((part) => part !== count));
    return { rest, least: count.least, most: count.most };
  }

  /** The characters that may come first, by what may come after them. */
  edgesOf(regex: Regex): readonly Edge[] {
    let edges = this.#edges.get(regex);
    if (edges === undefined) {
      edges = this.#findEdges(regex);
      this.#edges.set(regex, edges);
    }
    return edges;
  }

  #findEdges(regex: Regex): readonly Edge[] {
    const bounds = this.#boundsOf(regex);
    const ranges = new Map<Regex, Range[]>();
    for (const [i, from] of bounds.entries()) {
      const after = this.after(regex, from);
      const interval = intersection([[from, (bounds[i + 1] ?? LAST_CODE + 1) - 1]], ALL);
      if (after !== this.nothing && interval.length > 0)
        ranges.set(after, [...(ranges.get(after) ?? []), ...interval]);
    }
    return [...ranges].map(([after, intervals]) => ({ ranges: normalised(intervals), after }));
  }

  /** What may come after a character, for a text of `regex`. */
  after(regex: Regex, code: number): Regex {
    let derivatives = this.#derivatives.get(regex);
    if (derivatives === undefined) {
      derivatives = new Map();
      this.#derivatives.set(regex, derivatives);
    }
    let derivative = derivatives.get(code);
    if (derivative === undefined) {
      derivative = this.#derive(regex, code);
      derivatives.set(code, derivative);
    }
    return derivative;
  }

  matches(regex: Regex, text: string): boolean {
    let rest = regex;
    for (const character of text) rest = this.after(rest, character.codePointAt(0) ?? 0);
    return rest.isNullable;
  }

  /** Whether no text is in `regex`: none of the expressions that are left of it after some text takes the empty one. */
  isNothing(regex: Regex): boolean {
    const left = new Set([regex]);
    // A set may grow while it is walked.
    for (const one of left) {
      if (one.isNullable) return false;
      for (const { after } of this.edgesOf(one)) left.add(after);
    }
    return true;
  }

  /** How many characters texts of `regex` have: bounds that are not always met. */
  lengthsOf(regex: Regex): Lengths {
    let lengths = this.#lengths.get(regex);
    if (lengths === undefined) {
      lengths = this.#findLengths(regex);
      this.#lengths.set(regex, lengths);
    }
    return lengths;
  }

  #findLengths(regex: Regex): Lengths {
    switch (regex.kind) {
      case 'empty':
        return { least: 0, most: 0 };
      case 'characters':
        return { least: 1, most: 1 };
      case 'sequence': {
        const [first, rest] = [this.lengthsOf(regex.first), this.lengthsOf(regex.rest)];
        return { least: first.least + rest.least, most: first.most + rest.most };
      }
      case 'either': {
        const ways = regex.ways.map((way) => this.lengthsOf(way));
        return {
          least: Math.min(...ways.map(({ least }) => least)),
          most: Math.max(...ways.map(({ most }) => most)),
        };
      }
      case 'both': {
        const parts = regex.parts.map((part) => this.lengthsOf(part));
        return {
          least: Math.max(...parts.map(({ least }) => least)),
          most: Math.min(...parts.map(({ most }) => most)),
        };
      }
      case 'not':
        return { least: 0, most: ENDLESS };
      case 'repeat': {
        const body = this.lengthsOf(regex.body);
        return { least: regex.least * body.least, most: body.most === 0 ? 0 : regex.most * body.most };
      }
    }
  }

  #derive(regex: Regex, code: number): Regex {
    this.spend(1);
    switch (regex.kind) {
      case 'empty':
        return this.nothing;
      case 'characters':
        return regex.ranges.some(([from, to]) => code >= from && code <= to) ? this.empty : this.nothing;
      case 'sequence': {
        const { first, rest } = regex;
        const after = this.sequence(this.after(first, code), rest);
        return first.isNullable ? this.either([after, this.after(rest, code)]) : after;
      }
      case 'either':
        this.spend(regex.ways.length);
        return this.either(regex.ways.map((way) => this.after(way, code)));
      case 'both':
        return this.both(regex.parts.map((part) => this.after(part, code)));
      case 'not':
        return this.not(this.after(regex.body, code));
      case 'repeat': {
        const { body, least, most } = regex;
        return this.sequence(this.after(body, code), this.repeat(body, Math.max(0, least - 1), most - 1));
      }
    }
  }

  #findBounds(regex: Regex): readonly number[] {
    switch (regex.kind) {
      case 'empty':
        return [];
      case 'characters':
        return regex.ranges.flatMap(([from, to]) => [from, to + 1]);
      case 'sequence':
        return regex.first.isNullable
          ? [...this.#boundsOf(regex.first), ...this.#boundsOf(regex.rest)]
          : this.#boundsOf(regex.first);
      case 'either':
        return regex.ways.flatMap((way) => this.#boundsOf(way));
      case 'both':
        return regex.parts.flatMap((part) => this.#boundsOf(part));
      default:
        return this.#boundsOf(regex.body);
    }
  }

  #inOrder(all: ReadonlySet<Regex>): Regex[] {
    this.spend(all.size);
    return [...all].toSorted((a, b) => a.id - b.id);
  }

  #make(form: Form, key: string, isNullable: boolean): Regex {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size === MAX_EXPRESSIONS) throw tooLarge();
    const regex = { ...form, id: this.#known.size, isNullable };
    this.#known.set(key, regex);
    return regex;
  }

  /** Counts work, here and by whoever builds expressions. @throws PynqLlmError LLM_SCHEMA_TOO_LARGE */
  spend(work: number): void {
    this.#work += work;
    if (this.#work > MAX_WORK) throw tooLarge();
  }
}

interface Run extends Lengths {
  readonly ranges: readonly Range[];
}

const ANY_RUN: Run = { ranges: ALL, least: 0, most: ENDLESS };

/** Of so many characters of a set, whichever; undefined for other expressions. */
function runOf(regex: Regex): Run | undefined {
  if (regex.kind === 'characters') return { ranges: regex.ranges, least: 1, most: 1 };
  if (regex.kind !== 'repeat' || regex.body.kind !== 'characters') return undefined;
  return { ranges: regex.body.ranges, least: regex.least, most: regex.most };
}

function tooLarge(): PynqLlmError {
  return new PynqLlmError(
    'LLM_SCHEMA_TOO_LARGE',
    'The patterns and lengths of strings in the schema need too many states together.',
  );
}
