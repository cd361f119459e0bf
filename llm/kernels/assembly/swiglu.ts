import { exp } from './exp';
import { quantizeQ8K } from './q8k';

/**
 * SwiGLU of `count` values, in place: gate = silu(gate) * up with silu(x) = x / (1 + e^-x), computed in double and rounded
 * once to float32. Far below zero e^-x is infinite and silu is -0, as it should be.
 *
 * @param blocks receives the result as Q8_K; 0 where nobody wants it
 */
export function swiGlu(gate: usize, up: usize, count: i32, blocks: usize): void {
  for (let at: usize = 0; at < <usize>count << 2; at += 4) {
    const value = <f64>load<f32>(gate + at);
    store<f32>(gate + at, <f32>((value / (1 + exp(-value))) * <f64>load<f32>(up + at)));
  }
  if (blocks != 0) quantizeQ8K(gate, count, blocks);
}
