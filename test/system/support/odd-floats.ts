import type { Random } from '../../../maths/index.js';

/** Kinds of float32 that kernels may meet. */
export const KINDS = ['ordinary', 'any', 'small', 'subnormal', 'huge', 'sparse', 'equal'] as const;
export type Kind = (typeof KINDS)[number];

/** Finite float32 of a kind: exponents from where to where, some zeros, both signs. */
export function oddFloats(random: Random, length: number, kind: Kind): Float32Array {
  const below = (n: number): number => Math.floor(random.nextDouble() * n);
  const bits = new Uint32Array(length);
  const some = 1 + below(254);
  for (let i = 0; i < length; i++) bits[i] = (sign() | pattern()) >>> 0;
  return new Float32Array(bits.buffer);

  function sign(): number {
    return below(2) << 31;
  }

  function pattern(): number {
    const fraction = below(1 << 23);
    switch (kind) {
      case 'ordinary':
        return ((120 + below(10)) << 23) | fraction;
      case 'any':
        return (below(255) << 23) | fraction;
      case 'small':
        return (below(40) << 23) | fraction;
      case 'subnormal':
        return fraction;
      case 'huge':
        return ((245 + below(10)) << 23) | fraction;
      case 'sparse':
        return below(10) > 0 ? 0 : ((100 + below(60)) << 23) | fraction;
      case 'equal':
        return some << 23;
    }
  }
}

/** Float32 that are finite halves, with `least` to `most` for the exponent's five bits; 0 is that of the subnormal ones. */
export function oddHalves(random: Random, length: number, least: number, most: number): Float32Array {
  return Float32Array.from({ length }, () => {
    const exponent = least + Math.floor(random.nextDouble() * (most - least + 1));
    const fraction = Math.floor(random.nextDouble() * 1024);
    const sign = random.nextDouble() < 0.5 ? -1 : 1;
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
  });
}
