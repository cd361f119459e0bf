import { exp, expOfTwo, MOST_OF_TWO } from './exp';
import { quantizeQ8K } from './q8k';

/**
 * SwiGLU of `count` values, in place: gate = silu(gate) * up with silu(x) = x / (1 + e^-x), computed in double and rounded
 * once to float32. Far below zero e^-x is infinite and silu is -0, as it should be.
 *
 * @param blocks receives the result as Q8_K; 0 where nobody wants it
 */
export function swiGlu(gate: usize, up: usize, count: i32, blocks: usize): void {
  let at: usize = 0;
  const bytes = <usize>count << 2;
  for (; at + 16 <= bytes; at += 16) {
    const values = v128.load(gate + at);
    const magnitudes = v128.and(values, i32x4.splat(0x7fffffff));
    if (v128.any_true(i32x4.gt_s(magnitudes, i32x4.splat(reinterpret<i32>(MOST_OF_TWO))))) {
      for (let one = at; one < at + 16; one += 4) activate(gate + one, up + one);
      continue;
    }
    const factors = v128.load(up + at);
    const low = activateTwo(values, factors);
    const high = activateTwo(highHalf(values), highHalf(factors));
    v128.store(gate + at, v128.shuffle<i32>(low, high, 0, 1, 4, 5));
  }
  for (; at < bytes; at += 4) activate(gate + at, up + at);
  if (blocks != 0) quantizeQ8K(gate, count, blocks);
}

// @ts-ignore: decorator
@inline
function highHalf(floats: v128): v128 {
  return v128.shuffle<i32>(floats, floats, 2, 3, 2, 3);
}

function activate(gate: usize, up: usize): void {
  const value = <f64>load<f32>(gate);
  store<f32>(gate, <f32>((value / (1 + exp(-value))) * <f64>load<f32>(up)));
}

/** Of the lower two float32 of each. */
// @ts-ignore: decorator
@inline
function activateTwo(gate: v128, up: v128): v128 {
  const values = f64x2.promote_low_f32x4(gate);
  const silu = f64x2.div(values, f64x2.add(f64x2.splat(1), expOfTwo(f64x2.neg(values))));
  return f32x4.demote_f64x2_zero(f64x2.mul(silu, f64x2.promote_low_f32x4(up)));
}
