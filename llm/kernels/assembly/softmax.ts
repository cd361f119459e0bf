import { expOfTwo, MOST_OF_TWO } from './exp';
import { floatsToHalves, halvesToFloats } from '../../../gguf/assembly/half';
import { BLOCK, BLOCK_PAGES, PAGE } from './rows';

/**
 * Softmax in place with the largest score taken out, rounded to halves; the sum in double, in the order of the tokens. Scores
 * are laid out as attention.ts has them: [block][token mod 16][page], and those before token `first` and after the last become 0.
 */
export function softmax(scores: usize, first: i32, tokens: i32): void {
  const blocks = (tokens + BLOCK - 1) / BLOCK;
  const end = scores + <usize>blocks * (BLOCK << 2);
  for (let token = tokens; token < blocks * BLOCK; token++) store<f32>(placeOf(scores, token), -f32.MAX_VALUE);
  for (let token = 0; token < first; token++) store<f32>(placeOf(scores, token), -f32.MAX_VALUE);
  // Scores are 0 or far from subnormal, so that a comparison in NEON is as good as any.
  let most = f32x4.splat(-f32.MAX_VALUE);
  for (let at = scores; at < end; at += 16) most = f32x4.max(most, v128.load(at));
  const largest = max<f32>(
    max<f32>(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1)),
    max<f32>(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3)),
  );
  // e^-700 is as much zero in float32 as anything below it.
  const least = f32x4.splat(-MOST_OF_TWO);
  for (let at = scores; at < end; at += 16) {
    const below = f32x4.max(f32x4.sub(v128.load(at), f32x4.splat(largest)), least);
    const low = f32x4.demote_f64x2_zero(expOfTwo(f64x2.promote_low_f32x4(below)));
    const upper = v128.shuffle<i32>(below, below, 2, 3, 2, 3);
    const high = f32x4.demote_f64x2_zero(expOfTwo(f64x2.promote_low_f32x4(upper)));
    v128.store(at, v128.shuffle<i32>(low, high, 0, 1, 4, 5));
  }
  let sum: f64 = 0;
  for (let page = 0; page < tokens; page += PAGE) {
    let at = placeOf(scores, page);
    for (const last = at + (BLOCK << 2); at < last; at += BLOCK_PAGES << 2) sum += <f64>load<f32>(at);
  }
  // What is so small that NEON takes it for zero is zero as a half too.
  const inverse = f32x4.splat(<f32>(1.0 / sum));
  for (let at = scores; at < end; at += 16) {
    v128.store(at, halvesToFloats(floatsToHalves(f32x4.mul(v128.load(at), inverse))));
  }
}

// @ts-ignore: decorator
@inline
function placeOf(scores: usize, token: i32): usize {
  const place = (token / BLOCK) * BLOCK + (token % PAGE) * BLOCK_PAGES + (token / PAGE) % BLOCK_PAGES;
  return scores + (<usize>place << 2);
}
