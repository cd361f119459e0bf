import { exp } from './exp';

/** `count` float32 between -most and most, in place: most * tanh(value * (1 / most)), rounded to float32 at each step. */
export function cap(values: usize, count: i32, most: f32): void {
  const inverse: f32 = 1 / most;
  for (const end = values + (<usize>count << 2); values < end; values += 4) {
    store<f32>(values, <f32>tanh(<f64>(load<f32>(values) * inverse)) * most);
  }
}

/** The hyperbolic tangent in double. Small ones by the series: 1 - e^-2x has lost their digits. */
export function tanh(x: f64): f64 {
  if (abs(x) < 0.001) return x - (x * x * x) / 3;
  const power = exp(-2 * abs(x));
  return copysign<f64>((1 - power) / (1 + power), x);
}
