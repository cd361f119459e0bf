import { tanh } from './cap';
import { floatToHalf, halfToFloat } from '../../../gguf/assembly/half';
import { quantizeQ8K } from './q8k';

/** Of the argument of tanh: sqrt(2 / pi), and of its cubic part. */
const ROOT: f32 = 0.7978845608028654;
const CUBIC: f32 = 0.044715;

/** From here on GELU is its argument, and as far below zero 0. */
const MOST: f32 = 10;

/**
 * GELU in its form with tanh, as llama.cpp has it on CPUs, where it is a table of halves: between -10 and 10 the argument is
 * rounded to a half, and so is the result. Float32 at each step, since 1 + tanh has lost digits of small results.
 */
function gelu(value: f32): f32 {
  if (value <= -MOST) return 0;
  if (value >= MOST) return value;
  const x = halfToFloat(floatToHalf(value));
  const bent = <f32>tanh(<f64>(ROOT * x * (1 + CUBIC * x * x)));
  return halfToFloat(floatToHalf(<f32>0.5 * x * (1 + bent)));
}

/**
 * gate = gelu(gate) * up of `count` values, in place.
 *
 * @param up 0 where there is no gate, and gate = gelu(gate)
 * @param blocks receives the result as Q8_K; 0 where nobody wants it
 */
export function geGlu(gate: usize, up: usize, count: i32, blocks: usize): void {
  const bytes = <usize>count << 2;
  for (let at: usize = 0; at < bytes; at += 4) {
    const value = gelu(load<f32>(gate + at));
    store<f32>(gate + at, up == 0 ? value : value * load<f32>(up + at));
  }
  if (blocks != 0) quantizeQ8K(gate, count, blocks);
}
