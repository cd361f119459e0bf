import { exp } from '../../../../maths/index.js';

const { fround, sqrt } = Math;

/** RMSNorm as assembly/norm.ts documents it, one column. */
export function plainNorm(values: Float32Array, weight: Float32Array, epsilon: number): Float32Array {
  let sum = 0;
  for (const value of values) sum += fround(value * value);
  const mean = fround(sum / values.length);
  const scale = fround(1 / fround(sqrt(fround(mean + fround(epsilon)))));
  return values.map((value, i) => fround(value * scale) * weight[i]);
}

/** SwiGLU as assembly/swiglu.ts documents it. */
export function plainSwiGlu(gate: Float32Array, up: Float32Array): Float32Array {
  return gate.map((value, i) => (value / (1 + exp(-value))) * up[i]);
}

/** Rotation as assembly/rope.ts documents it. */
export function plainRotation(
  values: Float32Array,
  headDim: number,
  dimensions: number,
  angles: Float32Array,
): Float32Array {
  const turned = values.slice();
  for (let head = 0; head < values.length; head += headDim) {
    for (let i = 0; i < dimensions; i += 2) {
      const [cosine, sine] = [angles[i], angles[i + 1]];
      const [x, y] = [values[head + i], values[head + i + 1]];
      turned[head + i] = x * cosine - fround(y * sine);
      turned[head + i + 1] = x * sine + fround(y * cosine);
    }
  }
  return turned;
}
