import { PynqLlmError } from '../errors/index.js';

const TWO_OVER_PI = 0.6366197723675814;
/**
 * π/2 in three parts (Cody & Waite): the first two have 33 and 31 significant bits, so that their products with a quadrant
 * number below 2^20 are exact; the third is the rest, rounded.
 */
const HALF_PI_HIGH = 0x1921fb544 / 0x100000000;
const HALF_PI_MIDDLE = 0x42d18469 / 0x100000000 / 0x100000000;
const HALF_PI_LOW = 2.912732056093356e-20;

/** The largest |x|: the quadrant number stays below 2^20. */
const LARGEST_ANGLE = 1_600_000;

/** The Taylor polynomial of sin to r^17; for |r| <= π/4 its rest is below 1e-19. */
function sinPolynomial(r: number): number {
  const q = r * r;
  let p = 1 / 355687428096000;
  p = p * q - 1 / 1307674368000;
  p = p * q + 1 / 6227020800;
  p = p * q - 1 / 39916800;
  p = p * q + 1 / 362880;
  p = p * q - 1 / 5040;
  p = p * q + 1 / 120;
  p = p * q - 1 / 6;
  return r + r * q * p;
}

/** The Taylor polynomial of cos to r^18; for |r| <= π/4 its rest is below 1e-19. */
function cosPolynomial(r: number): number {
  const q = r * r;
  let p = -1 / 6402373705728000;
  p = p * q + 1 / 20922789888000;
  p = p * q - 1 / 87178291200;
  p = p * q + 1 / 479001600;
  p = p * q - 1 / 3628800;
  p = p * q + 1 / 40320;
  p = p * q - 1 / 720;
  p = p * q + 1 / 24;
  return 1 - (0.5 * q - q * q * p);
}

/** sin(x + quarterTurns π/2). */
function sinOfQuadrant(x: number, quarterTurns: number): number {
  if (!(x >= -LARGEST_ANGLE && x <= LARGEST_ANGLE)) {
    throw new PynqLlmError('LLM_ANGLE_RANGE', `The angle ${x} is not between ±${LARGEST_ANGLE} radians.`, {
      context: { angle: String(x) },
    });
  }
  const quadrant = Math.floor(x * TWO_OVER_PI + 0.5);
  const r = x - quadrant * HALF_PI_HIGH - quadrant * HALF_PI_MIDDLE - quadrant * HALF_PI_LOW;
  switch ((quadrant + quarterTurns) & 3) {
    case 0:
      return sinPolynomial(r);
    case 1:
      return cosPolynomial(r);
    case 2:
      return -sinPolynomial(r);
    default:
      return -cosPolynomial(r);
  }
}

/**
 * sin x for x in radians, |x| <= 1.6e6, the same bits on every machine: only double +, -, * and floor.
 *
 * Method: reduction to |r| <= π/4 by Cody & Waite with π/2 in three parts, then a Taylor polynomial. Within 2 units in the
 * last place.
 *
 * @throws PynqLlmError LLM_ANGLE_RANGE
 */
export function sin(x: number): number {
  return sinOfQuadrant(x, 0);
}

/** cos x; the domain, the method and the error are those of {@link sin}. */
export function cos(x: number): number {
  return sinOfQuadrant(x, 1);
}
