import { decimalOf } from './decimal.js';
import { FORMAT_PATTERNS, NUMBER_FORMATS, UNCHECKED_FORMATS, UNLIMITED_PATTERNS } from './formats.js';
import { type Bound, FURTHEST, type NumberRange, stricter } from './number-range.js';
import { PatternError, patternRegex } from './pattern.js';
import type { Regex, RegexBuilder } from './regex.js';
import { isSameValue } from './same-value.js';
import type { Located, SchemaReader, TypeName } from './schema-reader.js';

/** Digits after the point that bounds may have. */
const MAX_DIGITS = 15;
const UNBOUNDED = Number.POSITIVE_INFINITY;

/**
 * What several schemas say together, all of which a value has to satisfy; what they refer to and are composed of is among
 * them, so that each keyword speaks for itself.
 */
export class Facts {
  readonly #readers: readonly SchemaReader[];
  readonly #builder: RegexBuilder;
  #types: readonly TypeName[] | undefined;
  #listed: readonly unknown[] | undefined;
  #text: Regex | undefined;

  constructor(readers: readonly SchemaReader[], builder: RegexBuilder) {
    this.#readers = readers;
    this.#builder = builder;
  }

  /** Where the first of the schemas stands, for errors. */
  get path(): string {
    return this.#readers[0]?.path ?? '#';
  }

  /** The types that all allow; undefined if none names any. */
  get types(): readonly TypeName[] | undefined {
    this.#types ??= this.#findTypes();
    return this.#types;
  }

  #findTypes(): readonly TypeName[] | undefined {
    const sets = this.#readers.map((reader) => reader.types()).filter((types) => types !== undefined);
    if (sets.length === 0) return undefined;
    const isIn = (set: ReadonlySet<TypeName>, type: TypeName) =>
      set.has(type) || (type === 'integer' && set.has('number'));
    const distinct = [...new Set(sets.flatMap((set) => [...set]))].filter((type) =>
      sets.every((set) => isIn(set, type)),
    );
    // Every whole number is a number.
    return distinct.filter((type) => type !== 'integer' || !distinct.includes('number'));
  }

  /** The types that values are written of: without `type` those that the keywords are about; undefined for any. */
  get writtenTypes(): readonly TypeName[] | undefined {
    if (this.types !== undefined) return this.types;
    const implied = [...new Set(this.#readers.flatMap((reader) => reader.impliedTypes()))];
    return implied.length === 0 ? undefined : implied;
  }

  /** The values of `enum` and `const` that all of these list; undefined without them. */
  get listed(): readonly unknown[] | undefined {
    this.#listed ??= this.#findListed();
    return this.#listed;
  }

  #findListed(): readonly unknown[] | undefined {
    const lists = this.#readers.flatMap((reader) => [
      ...(reader.has('enum') ? [reader.list('enum')] : []),
      ...(reader.has('const') ? [[reader.get('const')]] : []),
    ]);
    if (lists.length === 0) return undefined;
    const [first, ...others] = lists;
    for (const other of others) this.#builder.spend(first.length * other.length);
    return first.filter((value) => others.every((list) => list.some((one) => isSameValue(one, value))));
  }

  /** Bounds and divisors of numbers. */
  get range(): NumberRange {
    let range: NumberRange = { divisors: [] };
    for (const reader of this.#readers) {
      const format = reader.text('format');
      if (format !== undefined && Object.hasOwn(NUMBER_FORMATS, format))
        range = stricter(range, NUMBER_FORMATS[format]);
      else if (format !== undefined && reader.types()?.has('string') === false)
        throw reader.unsupported(`the format ${JSON.stringify(format)} of numbers`);
      const [minimum, maximum] = [reader.number('minimum'), reader.number('maximum')];
      const [above, below] = [reader.number('exclusiveMinimum'), reader.number('exclusiveMaximum')];
      const divisor = reader.number('multipleOf');
      if (divisor !== undefined && divisor <= 0) throw reader.invalid('multipleOf', 'a number above 0');
      range = stricter(range, {
        ...(minimum === undefined ? {} : { low: { value: minimum, exclusive: false } }),
        ...(maximum === undefined ? {} : { high: { value: maximum, exclusive: false } }),
        divisors: divisor === undefined ? [] : [divisor],
      });
      range = stricter(range, {
        ...(above === undefined ? {} : { low: { value: above, exclusive: true } }),
        ...(below === undefined ? {} : { high: { value: below, exclusive: true } }),
        divisors: [],
      });
    }
    return range;
  }

  /**
   * The range as far as it is written: without an exponent, and up to where whole numbers are exact.
   * @throws PynqLlmError LLM_SCHEMA_UNSUPPORTED
   */
  get writtenRange(): NumberRange {
    const { low, high, divisors } = this.range;
    for (const value of [low?.value ?? 0, high?.value ?? 0, ...divisors])
      if (decimalOf(value).digits > MAX_DIGITS)
        throw this.#ofNumbers(
          `a bound or divisor of ${value}, with more than ${MAX_DIGITS} digits after the point,`,
        );
    if ((low?.value ?? 0) > FURTHEST || (high?.value ?? 0) < -FURTHEST)
      throw this.#ofNumbers(`a range beyond ${FURTHEST}`);
    const isFar = (bound: Bound | undefined) => bound !== undefined && Math.abs(bound.value) > FURTHEST;
    return {
      ...(low === undefined ? {} : { low: isFar(low) ? { value: -FURTHEST, exclusive: false } : low }),
      ...(high === undefined ? {} : { high: isFar(high) ? { value: FURTHEST, exclusive: false } : high }),
      divisors,
    };
  }

  #ofNumbers(what: string): Error {
    const reader = this.#readers.find((one) => one.impliedTypes().includes('number'));
    return (reader ?? this.#readers[0]).unsupported(what);
  }

  /** The reader of a keyword that stands somewhere, for errors. */
  unsupported(keyword: string, what: string): Error {
    const reader = this.#readers.find((one) => one.has(keyword)) ?? this.#readers[0];
    return reader.unsupported(what);
  }

  /** The texts that strings may have: patterns, formats and lengths together. */
  get text(): Regex {
    this.#text ??= this.#findText();
    return this.#text;
  }

  #findText(): Regex {
    const builder = this.#builder;
    const patterns = this.#readers.flatMap((reader) => {
      const pattern = reader.text('pattern');
      return pattern === undefined ? [] : [this.pattern(reader, pattern)];
    });
    const isPatterned = patterns.length > 0;
    const least = this.#greatest('minLength');
    const most = this.#least('maxLength');
    const isCounted = (regex: Regex) => {
      const lengths = builder.lengthsOf(regex);
      return lengths.least < least || lengths.most > most;
    };
    const formats = (isUnlimited: boolean) =>
      this.#readers.flatMap((reader) => this.#ofFormat(reader, isPatterned, isUnlimited) ?? []);
    const short = builder.both([...patterns, ...formats(false)]);
    // Counting takes a state for every character: not where the pattern says as much.
    if (!isPatterned && !isCounted(short)) return short;
    const matching = builder.both([...patterns, ...formats(true)]);
    return isCounted(matching)
      ? builder.both([matching, builder.repeat(builder.any, least, most)])
      : matching;
  }

  /** @throws PynqLlmError LLM_SCHEMA_UNSUPPORTED */
  pattern(reader: SchemaReader, pattern: string): Regex {
    try {
      return this.#builder.ofPattern(pattern, () => patternRegex(this.#builder, pattern));
    } catch (cause) {
      if (!(cause instanceof PatternError)) throw cause;
      throw reader.unsupported(`the pattern ${JSON.stringify(pattern.slice(0, 100))} with ${cause.message}`);
    }
  }

  #ofFormat(reader: SchemaReader, isPatterned: boolean, isUnlimited: boolean): Regex | undefined {
    const format = reader.text('format');
    if (format === undefined) return undefined;
    if (isUnlimited && Object.hasOwn(UNLIMITED_PATTERNS, format))
      return this.pattern(reader, UNLIMITED_PATTERNS[format]);
    if (Object.hasOwn(FORMAT_PATTERNS, format)) return this.pattern(reader, FORMAT_PATTERNS[format]);
    // Formats that nobody but their makers know stand beside the pattern that decides.
    if (isPatterned || UNCHECKED_FORMATS.has(format)) return undefined;
    throw reader.unsupported(`the format ${JSON.stringify(format)} without a pattern`);
  }

  /** How many items arrays have. */
  get itemCounts(): { readonly least: number; readonly most: number } {
    return { least: this.#greatest('minItems'), most: this.#least('maxItems') };
  }

  get isUnique(): boolean {
    return this.#readers.some((reader) => reader.get('uniqueItems', false) !== false);
  }

  /** How many items are spoken of one by one. */
  get prefixLength(): number {
    return Math.max(0, ...this.#readers.map((reader) => prefixOf(reader).length));
  }

  /** The schemas of an item. */
  item(index: number): readonly Located[] {
    return this.#readers.flatMap((reader) => {
      const prefix = prefixOf(reader);
      if (index < prefix.length) return [prefix[index]];
      const keyword = Array.isArray(reader.get('items')) ? 'additionalItems' : 'items';
      return reader.has(keyword) ? [reader.sub(keyword)] : [];
    });
  }

  /** The names of properties that have a schema, in order, and of those required. */
  get names(): readonly string[] {
    return [
      ...new Set([
        ...this.#readers.flatMap((reader) => Object.keys(reader.map('properties'))),
        ...this.required,
      ]),
    ];
  }

  get required(): ReadonlySet<string> {
    return new Set(this.#readers.flatMap((reader) => reader.names('required')));
  }

  get propertyCounts(): { readonly least: number; readonly most: number } {
    return { least: this.#greatest('minProperties'), most: this.#least('maxProperties') };
  }

  /** The patterns of `patternProperties`, each with the reader that has it. */
  get namePatterns(): readonly Regex[] {
    return [...new Set(this.#patternReaders.map(({ regex }) => regex))];
  }

  /** The schemas of the property of a name; of one without a name of its own if undefined. @param matched the patterns of its name */
  property(name: string | undefined, matched: ReadonlySet<Regex>): readonly Located[] {
    return this.#readers.flatMap((reader) => {
      const isNamed = name !== undefined && Object.hasOwn(reader.map('properties'), name);
      const own = isNamed ? [reader.sub('properties', name)] : [];
      const byPattern = this.#patternReaders
        .filter((one) => one.reader === reader && matched.has(one.regex))
        .map(({ source }) => reader.sub('patternProperties', source));
      const all = [...own, ...byPattern];
      if (all.length > 0 || !reader.has('additionalProperties')) return all;
      return [reader.sub('additionalProperties')];
    });
  }

  /** Whether names without a word about them are left out: none of the schemas speaks of further properties, one of some. */
  get isClosed(): boolean {
    const speaks = (keyword: string) => this.#readers.some((reader) => reader.has(keyword));
    return !speaks('additionalProperties') && (speaks('properties') || speaks('patternProperties'));
  }

  /** The schemas of the names of properties. */
  get propertyNames(): readonly Located[] {
    return this.#readers.flatMap((reader) =>
      reader.has('propertyNames') ? [reader.sub('propertyNames')] : [],
    );
  }

  get #patternReaders(): readonly { reader: SchemaReader; source: string; regex: Regex }[] {
    return this.#readers.flatMap((reader) =>
      Object.keys(reader.map('patternProperties')).map((source) => ({
        reader,
        source,
        regex: this.pattern(reader, source),
      })),
    );
  }

  #greatest(keyword: string): number {
    return Math.max(0, ...this.#readers.map((reader) => reader.count(keyword) ?? 0));
  }

  #least(keyword: string): number {
    return Math.min(UNBOUNDED, ...this.#readers.map((reader) => reader.count(keyword) ?? UNBOUNDED));
  }
}

/** The schemas of the first items, in the words of either draft: `prefixItems`, or a list of `items`. */
function prefixOf(reader: SchemaReader): readonly Located[] {
  const keyword = Array.isArray(reader.get('items')) ? 'items' : 'prefixItems';
  if (!reader.has(keyword)) return [];
  return reader.subs(keyword);
}
