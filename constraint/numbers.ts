import { decimalOf } from './decimal.js';
import type { GrammarBuilder, Range } from './grammar.js';
import { multiplePlace } from './multiples.js';
import { type Bound, FURTHEST, type NumberRange } from './number-range.js';

/** Digits that a double keeps exactly, whatever they are. */
const EXACT_DIGITS = 15;

const digits = (from: number, to: number): Range[] => [[0x30 + from, 0x30 + to]];

/** A number of a range. @param whole without a fraction */
export function numberPlace(
  grammar: GrammarBuilder,
  range: NumberRange,
  whole: boolean,
  next: number,
): number {
  const { low, high } = range;
  const divisors = range.divisors.filter((divisor) => divisor !== 1);
  const isWhole = whole || divisors.length < range.divisors.length;
  if (divisors.length > 0) return multiplePlace(grammar, { ...range, divisors }, isWhole, next);
  // Whole numbers without a bound have fewer digits than this.
  const isWide = (low?.value ?? -FURTHEST) <= -FURTHEST && (high?.value ?? FURTHEST) >= FURTHEST;
  if (isWhole && isWide) return anyInteger(grammar, next);
  if (low === undefined && high === undefined) return anyNumber(grammar, next);
  const furthest = (value: number): Bound => ({ value, exclusive: false });
  return boundedNumber(grammar, low ?? furthest(-FURTHEST), high ?? furthest(FURTHEST), isWhole, next);
}

/** A JSON number without bounds; its length is bounded, and its exponent so that it stays finite. */
export function anyNumber(grammar: GrammarBuilder, next: number): number {
  const digit = grammar.bytes(digits(0, 9), grammar.end);
  const sign = (after: number) =>
    grammar.anyOf([after, grammar.bytes([[0x2b, 0x2b], [0x2d, 0x2d]], after)]); // biome-ignore format: two bytes
  const exponent = grammar.bytes(
    [[0x45, 0x45], [0x65, 0x65]], // biome-ignore format: two bytes
    sign(grammar.repeat(digit, 1, 2, next)),
  );
  const afterFraction = grammar.anyOf([next, exponent]);
  const fraction = grammar.literal('.', grammar.repeat(digit, 1, EXACT_DIGITS, afterFraction));
  return wholePart(grammar, grammar.anyOf([afterFraction, fraction]));
}

/** A whole number without bounds, of at most 15 digits: every one is exact. */
export function anyInteger(grammar: GrammarBuilder, next: number): number {
  return wholePart(grammar, next);
}

function wholePart(grammar: GrammarBuilder, next: number): number {
  const digit = grammar.bytes(digits(0, 9), grammar.end);
  const more = grammar.repeat(digit, 0, EXACT_DIGITS - 1, next);
  const magnitude = grammar.anyOf([grammar.literal('0', next), grammar.bytes(digits(1, 9), more)]);
  return grammar.anyOf([magnitude, grammar.literal('-', magnitude)]);
}

/** A number from `low` to `high`, written without an exponent. @param whole without a fraction */
export function boundedNumber(
  grammar: GrammarBuilder,
  low: Bound,
  high: Bound,
  whole: boolean,
  next: number,
): number {
  const [from, to] = whole ? [wholeBound(low, 1), wholeBound(high, -1)] : [low, high];
  const ways: number[] = [];
  if (to.value >= 0) ways.push(new Magnitudes(grammar, notNegative(from), to, whole, next).place);
  if (from.value < 0) {
    const mirrored = (bound: Bound): Bound => ({ ...bound, value: -bound.value });
    const place = new Magnitudes(grammar, notNegative(mirrored(to)), mirrored(from), whole, next).place;
    ways.push(grammar.literal('-', place));
  }
  return grammar.anyOf(ways);
}

/** The outermost whole number within a bound. @param inwards 1 at the lower end, -1 at the upper */
function wholeBound({ value, exclusive }: Bound, inwards: 1 | -1): Bound {
  const rounded = inwards === 1 ? Math.ceil(value) : Math.floor(value);
  return { value: rounded + (exclusive && rounded === value ? inwards : 0), exclusive: false };
}

function notNegative(bound: Bound): Bound {
  return bound.value < 0 ? { value: 0, exclusive: false } : bound;
}

/** Digits of a bound before and after the point. */
interface Digits {
  readonly whole: string;
  readonly fraction: string;
  readonly exclusive: boolean;
}

/**
 * Numbers from `low` to `high`, neither negative, digit by digit: as long as the digits so far are those of a bound they
 * have to stay on its inner side, after that they are free.
 */
class Magnitudes {
  readonly place: number;
  readonly #grammar: GrammarBuilder;
  readonly #low: Digits;
  readonly #high: Digits;
  readonly #whole: boolean;
  readonly #next: number;
  readonly #digit: number;

  constructor(grammar: GrammarBuilder, low: Bound, high: Bound, whole: boolean, next: number) {
    this.#grammar = grammar;
    this.#low = digitsOf(low);
    this.#high = digitsOf(high);
    this.#whole = whole;
    this.#next = next;
    this.#digit = grammar.bytes(digits(0, 9), grammar.end);
    const lengths: number[] = [];
    for (let length = this.#low.whole.length; length <= this.#high.whole.length; length++)
      lengths.push(this.#wholeDigits(length));
    this.place = low.value > high.value ? grammar.anyOf([]) : grammar.anyOf(lengths);
  }

  /** Whole parts of `length` digits. */
  #wholeDigits(length: number): number {
    const onLow = length === this.#low.whole.length;
    const onHigh = length === this.#high.whole.length;
    return this.#walk(0, onLow, onHigh, {
      digit: (at, digits) => Number(digits.whole[at]),
      least: (at) => (at === 0 && length > 1 ? 1 : 0),
      stop: (at, low, high) => (at === length ? this.#afterWhole(length, low, high) : undefined),
      goesOn: (at) => at < length,
      free: (at) =>
        this.#grammar.repeat(this.#digit, length - at, length - at, this.#afterWhole(length, false, false)),
    });
  }

  #afterWhole(length: number, onLow: boolean, onHigh: boolean): number {
    if (this.#whole) return this.#next;
    const most = Math.max(EXACT_DIGITS - length, this.#low.fraction.length, this.#high.fraction.length);
    const way = this.#walk(0, onLow, onHigh, {
      digit: (at, digits) => Number(digits.fraction[at] ?? 0),
      least: () => 0,
      stop: (at, low, high) => (at > 0 && this.#mayStop(at, low, high) ? this.#next : undefined),
      goesOn: (at) => at < most,
      free: (at) => this.#grammar.repeat(this.#digit, Math.max(0, 1 - at), most - at, this.#next),
    });
    const point = this.#grammar.literal('.', way);
    return this.#mayStop(0, onLow, onHigh) ? this.#grammar.anyOf([this.#next, point]) : point;
  }

  /** Whether the number may end after `at` digits of the fraction. */
  #mayStop(at: number, onLow: boolean, onHigh: boolean): boolean {
    const isZeroAfter = ({ fraction }: Digits) => /^0*$/.test(fraction.slice(at));
    const belowLow = onLow && (!isZeroAfter(this.#low) || this.#low.exclusive);
    return !belowLow && !(onHigh && isZeroAfter(this.#high) && this.#high.exclusive);
  }

  /** Digits from place `at` on, of which those before are the same as the bounds' where `onLow` and `onHigh` say so. */
  #walk(at: number, onLow: boolean, onHigh: boolean, part: Part): number {
    if (!onLow && !onHigh && at > 0) return part.free(at);
    const ways: number[] = [];
    const stop = part.stop(at, onLow, onHigh);
    if (stop !== undefined) ways.push(stop);
    if (part.goesOn(at)) {
      const least = Math.max(part.least(at), onLow ? part.digit(at, this.#low) : 0);
      const most = onHigh ? part.digit(at, this.#high) : 9;
      const isLow = (digit: number) => onLow && digit === part.digit(at, this.#low);
      const isHigh = (digit: number) => onHigh && digit === part.digit(at, this.#high);
      // Digits strictly within both bounds lead to the same place.
      for (let digit = least; digit <= most; ) {
        let last = digit;
        const onBound = isLow(digit) || isHigh(digit);
        while (!onBound && last < most && !isLow(last + 1) && !isHigh(last + 1)) last++;
        ways.push(
          this.#grammar.bytes(digits(digit, last), this.#walk(at + 1, isLow(digit), isHigh(digit), part)),
        );
        digit = last + 1;
      }
    }
    return this.#grammar.anyOf(ways);
  }
}

/** What the digits before the point and those after it do differently. */
interface Part {
  /** A bound's digit at a place. */
  digit(at: number, digits: Digits): number;
  least(at: number): number;
  /** Where it goes on without a further digit, if it may. */
  stop(at: number, onLow: boolean, onHigh: boolean): number | undefined;
  goesOn(at: number): boolean;
  /** All further digits, none of them bounded. */
  free(at: number): number;
}

function digitsOf({ value, exclusive }: Bound): Digits {
  const { units, digits } = decimalOf(Math.abs(value));
  const text = String(units).padStart(digits + 1, '0');
  const point = text.length - digits;
  return { whole: text.slice(0, point), fraction: text.slice(point), exclusive };
}
