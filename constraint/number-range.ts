import { decimalOf } from './decimal.js';

/** Doubles count whole numbers up to here. */
export const FURTHEST = Number.MAX_SAFE_INTEGER;

/** An end of a range of numbers. */
export interface Bound {
  readonly value: number;
  readonly exclusive: boolean;
}

/** Numbers between bounds that are multiples of all of some numbers. */
export interface NumberRange {
  readonly low?: Bound;
  readonly high?: Bound;
  readonly divisors: readonly number[];
}

/** What is in both. */
export function stricter(a: NumberRange, b: NumberRange): NumberRange {
  const low = innermost(a.low, b.low, 1);
  const high = innermost(a.high, b.high, -1);
  return {
    ...(low === undefined ? {} : { low }),
    ...(high === undefined ? {} : { high }),
    divisors: [...new Set([...a.divisors, ...b.divisors])],
  };
}

/** @param inwards 1 at the lower end, -1 at the upper */
function innermost(a: Bound | undefined, b: Bound | undefined, inwards: 1 | -1): Bound | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (a.value === b.value) return a.exclusive ? a : b;
  return (a.value - b.value) * inwards > 0 ? a : b;
}

export function isInRange(value: number, { low, high, divisors }: NumberRange): boolean {
  if (low !== undefined && (low.exclusive ? value <= low.value : value < low.value)) return false;
  if (high !== undefined && (high.exclusive ? value >= high.value : value > high.value)) return false;
  return divisors.every((divisor) => isMultiple(value, divisor));
}

/** Whether no number is in the range, as far as the bounds say. */
export function isEmptyRange({ low, high }: NumberRange): boolean {
  if (low === undefined || high === undefined) return false;
  return low.value > high.value || (low.value === high.value && (low.exclusive || high.exclusive));
}

/** Exactly, in decimals: doubles would say that 0.07 is not a multiple of 0.01. */
function isMultiple(value: number, divisor: number): boolean {
  const [a, b] = [decimalOf(value), decimalOf(divisor)];
  const digits = Math.max(a.digits, b.digits);
  return (a.units * 10n ** BigInt(digits - a.digits)) % (b.units * 10n ** BigInt(digits - b.digits)) === 0n;
}
