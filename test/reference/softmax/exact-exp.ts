/** Fraction bits of the fixed-point numbers below. */
const FRACTION = 320n;
const ONE = 1n << FRACTION;

/** ln 2 = sum of 1 / (k 2^k). */
const LN2 = (() => {
  let sum = 0n;
  for (let k = 1n; k < FRACTION + 16n; k++) sum += (1n << (FRACTION + 16n)) / (k << k);
  return sum >> 16n;
})();

const view = new DataView(new ArrayBuffer(8));

/**
 * The double nearest to e^x, by integers of 320 fraction bits: slow, and sharing nothing with `maths/`.
 * Below 2^-1022, of which no float32 sees anything, it is 0.
 */
export function exactExp(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x > 710) return Number.POSITIVE_INFINITY;
  if (x < -750) return 0;
  const fixed = toFixed(x);
  // floor(x / ln 2), and the rest from 0 to below ln 2.
  const rest = ((fixed % LN2) + LN2) % LN2;
  const k = Number((fixed - rest) / LN2);
  let sum = 0n;
  for (let term = ONE, i = 1n; term > 0n; term = ((term * rest) >> FRACTION) / i, i++) sum += term;
  return fromFixed(sum, k);
}

/** A double as a fixed-point number; exact from 2^-268 on. */
function toFixed(x: number): bigint {
  view.setFloat64(0, x);
  const bits = view.getBigUint64(0);
  const exponent = (bits >> 52n) & 0x7ffn;
  const significand = exponent === 0n ? 0n : (bits & ((1n << 52n) - 1n)) | (1n << 52n);
  const shift = FRACTION + exponent - 1075n;
  const magnitude = shift >= 0n ? significand << shift : significand >> -shift;
  return x < 0 ? -magnitude : magnitude;
}

/** The double nearest to `value` * 2^k, ties to even, where `value` lies from 1 to below 2. */
function fromFixed(value: bigint, k: number): number {
  const dropped = FRACTION - 52n;
  const half = 1n << (dropped - 1n);
  let significand = value >> dropped;
  const rest = value & ((1n << dropped) - 1n);
  if (rest > half || (rest === half && (significand & 1n) === 1n)) significand++;
  if (k < -1022) return 0;
  // A carry out of the significand goes into the exponent, as it should: 2^1024 becomes infinity.
  view.setBigUint64(0, (BigInt(k + 1023) << 52n) + significand - (1n << 52n));
  return view.getFloat64(0);
}
