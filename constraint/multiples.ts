import { type Decimal, decimalOf } from './decimal.js';
import type { GrammarBuilder, Range } from './grammar.js';
import { FURTHEST, type NumberRange } from './number-range.js';

/**
 * A number of a range with divisors, without an exponent: a whole part, and as many digits after the point as the divisors
 * have, or none.
 * @param whole without a fraction
 */
export function multiplePlace(
  grammar: GrammarBuilder,
  range: NumberRange,
  whole: boolean,
  next: number,
): number {
  const divisors = [...range.divisors, ...(whole ? [1] : [])].map(decimalOf);
  const fraction = Math.max(...divisors.map(({ digits }) => digits));
  const modulus = divisors.map((divisor) => scaled(divisor, fraction)).reduce(leastCommonMultiple);
  // A fraction of a double's step would not be exact: units are counted as far as doubles count.
  const furthest = BigInt(FURTHEST);
  const low =
    range.low === undefined
      ? -furthest
      : firstUnits(decimalOf(range.low.value), fraction, range.low.exclusive);
  const high =
    range.high === undefined
      ? furthest
      : -firstUnits(negative(decimalOf(range.high.value)), fraction, range.high.exclusive);
  const places = new Multiples(grammar, modulus, fraction, next);
  const ways = [places.between(largest(low, 0n), smallest(high, furthest))];
  if (low < 0n) ways.push(grammar.literal('-', places.between(largest(-high, 1n), smallest(-low, furthest))));
  return grammar.anyOf(ways);
}

/** Multiples of `modulus` units of 10^-fraction, digit by digit: a state is what is still to come, modulo `modulus`. */
class Multiples {
  readonly #grammar: GrammarBuilder;
  readonly #modulus: bigint;
  readonly #fraction: number;
  readonly #next: number;
  readonly #free = new Map<string, number | undefined>();

  constructor(grammar: GrammarBuilder, modulus: bigint, fraction: number, next: number) {
    this.#grammar = grammar;
    this.#modulus = modulus;
    this.#fraction = fraction;
    this.#next = next;
  }

  /** @param low both of them units, not negative */
  between(low: bigint, high: bigint): number {
    if (low > high) return this.#grammar.anyOf([]);
    const padded = (units: bigint) => String(units).padStart(this.#fraction + 1, '0');
    const ways: number[] = [];
    for (let length = padded(low).length; length <= padded(high).length; length++) {
      const from = length === padded(low).length ? padded(low) : undefined;
      const to = length === padded(high).length ? padded(high) : undefined;
      ways.push(...(this.#walk(0, length, 0n, from, to) ?? []));
    }
    return this.#grammar.anyOf(ways);
  }

  /**
   * The digits from place `at` on.
   * @param rest what the digits so far come to, modulo the modulus, with zeros for those to come
   * @param from the digits of the lower bound where those so far are the same; `to` of the upper one
   * @returns ways to go on
   */
  #walk(
    at: number,
    length: number,
    rest: bigint,
    from: string | undefined,
    to: string | undefined,
  ): number[] {
    const left = length - at;
    if (left === 0) return rest === 0n ? [this.#next] : [];
    const missing = (this.#modulus - rest) % this.#modulus;
    if (missing >= 10n ** BigInt(left)) return [];
    const isFree = from === undefined && to === undefined && at > 0;
    const key = `${left} ${rest}`;
    if (isFree && this.#free.has(key)) return [this.#free.get(key) ?? 0];
    const ways: number[] = [];
    const whole = length - this.#fraction;
    const digits = this.#digits(at, length, rest, from, to);
    if (at !== whole) ways.push(...digits);
    else {
      if (rest === 0n && /^0*$/.test(from?.slice(at) ?? '')) ways.push(this.#next);
      if (digits.length > 0) ways.push(this.#grammar.literal('.', this.#grammar.anyOf(digits)));
    }
    if (!isFree) return ways;
    const place = this.#grammar.anyOf(ways);
    this.#free.set(key, place);
    return [place];
  }

  #digits(
    at: number,
    length: number,
    rest: bigint,
    from: string | undefined,
    to: string | undefined,
  ): number[] {
    const isFirst = at === 0 && length > this.#fraction + 1;
    const least = Math.max(isFirst ? 1 : 0, Number(from?.[at] ?? 0));
    const most = Number(to?.[at] ?? 9);
    const value = 10n ** BigInt(length - at - 1);
    /** Digits by where they lead. */
    const ranges = new Map<string, { digits: Range[]; ways: number[] }>();
    for (let digit = least; digit <= most; digit++) {
      const onward = (rest + BigInt(digit) * value) % this.#modulus;
      const low = digit === Number(from?.[at] ?? -1) ? from : undefined;
      const high = digit === Number(to?.[at] ?? -1) ? to : undefined;
      const ways = this.#walk(at + 1, length, onward, low, high);
      if (ways.length === 0) continue;
      const key = ways.join(' ');
      const known = ranges.get(key) ?? { digits: [], ways };
      known.digits.push([0x30 + digit, 0x30 + digit]);
      ranges.set(key, known);
    }
    return [...ranges.values()].map(({ digits, ways }) =>
      this.#grammar.bytes(digits, this.#grammar.anyOf(ways)),
    );
  }
}

function scaled({ units, digits }: Decimal, fraction: number): bigint {
  return units * 10n ** BigInt(fraction - digits);
}

function negative({ units, digits }: Decimal): Decimal {
  return { units: -units, digits };
}

/** The first whole number of units of 10^-fraction that is not below a number, or above it if it is excluded. */
function firstUnits(value: Decimal, fraction: number, isExcluded: boolean): bigint {
  const extra = BigInt(Math.max(0, value.digits - fraction));
  const units = value.units * 10n ** BigInt(Math.max(0, fraction - value.digits));
  const step = 10n ** extra;
  const below = units / step - (units < 0n && units % step !== 0n ? 1n : 0n);
  return below * step === units && !isExcluded ? below : below + 1n;
}

function leastCommonMultiple(a: bigint, b: bigint): bigint {
  let [divisor, rest] = [a, b];
  while (rest > 0n) [divisor, rest] = [rest, divisor % rest];
  return (a / divisor) * b;
}

function largest(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function smallest(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
