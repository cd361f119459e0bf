/** Seeded numbers 0 <= x < 1 (mulberry32): the same row on every machine. */
export function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Nearly Gaussian values (sum of twelve uniform ones), as weights are. */
export function gaussian(count: number, seed: number, deviation: number): Float32Array {
  const next = uniform(seed);
  return Float32Array.from({ length: count }, () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += next();
    return sum * deviation;
  });
}

/** Root mean square difference over root mean square value. */
export function relativeError(expected: Float32Array, actual: Float32Array): number {
  let [error, power] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    error += (expected[i] - actual[i]) ** 2;
    power += expected[i] ** 2;
  }
  return Math.sqrt(error / power);
}
