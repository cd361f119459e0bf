import { exp } from '../../maths/index.js';

/**
 * SwiGLU of `count` values, in place: gate = silu(gate) * up with silu(x) = x / (1 + e^-x), computed in double and rounded
 * once to float32. Far below zero e^-x is infinite and silu is -0, as it should be.
 */
export function swiGlu(gate: Float32Array, up: Float32Array, count: number): void {
  for (let i = 0; i < count; i++) gate[i] = (gate[i] / (1 + exp(-gate[i]))) * up[i];
}
