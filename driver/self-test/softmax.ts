import { z } from 'zod';
import { PynqLlmError } from '../../errors/index.js';
import type { Accelerator } from '../accelerator.js';

/** Results lie within this part of the golden one, or within the absolute one: the hardware's exponential is not exact. */
const RELATIVE = 1e-6;
const ABSOLUTE = 1e-7;

/** Words apart by a space; looked at one by one, because one pattern for megabytes of them overflows the stack. */
const hex = z.string();
const float = z.string().regex(/^[0-9a-f]{8}$/);

/** One case of softmax.json (README of the vectors has the format); float32 and fp16 are given by their bits in hex. */
export const softMaxVector = z.object({
  name: z.string().max(200),
  width: z.number().int().min(1),
  scale: float,
  slope: float,
  sink: float.optional(),
  mask: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('f32'), values: hex }),
      z.object({ type: z.literal('f16'), values: hex }),
    ])
    .optional(),
  elements: hex,
  expect: hex,
});
export type SoftMaxVector = z.infer<typeof softMaxVector>;

/** How the results of a case compare with the golden ones. */
export interface SoftMaxFinding {
  readonly results: number;
  /** Results outside of the tolerance. */
  readonly outside: number;
  /** Results within it whose bits differ; NaN is a class. */
  readonly otherBits: number;
}

/** Runs a case. @throws PynqLlmError DRIVER_BAD_VECTOR, DRIVER_NO_SOFT_MAX and the device's errors */
export function runSoftMax(
  accelerator: Accelerator,
  vector: SoftMaxVector,
): { readonly results: Float32Array; readonly expected: Float32Array } {
  const { name, width, mask } = vector;
  const elements = floats(name, vector.elements);
  const expected = floats(name, vector.expect);
  const masks =
    mask && (mask.type === 'f16' ? Uint16Array.from(words(name, mask.values, 4)) : floats(name, mask.values));
  if (
    elements.length % width !== 0 ||
    [expected, masks].some((part) => part && part.length !== elements.length)
  )
    throw new PynqLlmError('DRIVER_BAD_VECTOR', `SOFT_MAX of ${name} has parts of different lengths.`, {
      context: { case: name },
    });
  const results = new Float32Array(elements.length);
  accelerator.softMax(elements, width, results, {
    scale: floats(name, vector.scale)[0],
    slope: floats(name, vector.slope)[0],
    ...(vector.sink !== undefined && { sink: floats(name, vector.sink)[0] }),
    ...(masks && { mask: masks }),
  });
  return { results, expected };
}

/** Compares results, as many as expected. */
export function compareSoftMax(results: Float32Array, expected: Float32Array): SoftMaxFinding {
  let outside = 0;
  let otherBits = 0;
  for (const [i, right] of expected.entries()) {
    const result = results[i];
    if (Object.is(result, right)) continue;
    const allowed = Number.isFinite(right) ? Math.max(ABSOLUTE, RELATIVE * Math.abs(right)) : 0;
    // To NaN no distance is small.
    if (Math.abs(result - right) <= allowed) otherBits++;
    else outside++;
  }
  return { results: expected.length, outside, otherBits };
}

function floats(name: string, text: string): Float32Array {
  return new Float32Array(Uint32Array.from(words(name, text, 8)).buffer);
}

function words(name: string, text: string, digits: 4 | 8): number[] {
  const form = digits === 4 ? /^[0-9a-f]{4}$/ : /^[0-9a-f]{8}$/;
  return text.split(' ').map((word) => {
    if (form.test(word)) return Number.parseInt(word, 16);
    const what = `SOFT_MAX of ${name} has the word "${word.slice(0, 20)}", which is not ${digits} hexadecimal digits`;
    throw new PynqLlmError('DRIVER_BAD_VECTOR', `${what}.`, { context: { case: name } });
  });
}
