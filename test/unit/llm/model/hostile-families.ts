import { expect, it } from 'vitest';
import { bytesSource, GgmlType, type GgufEntry, openGguf } from '../../../../gguf/index.js';
import { attackModel } from '../../../fuzz/attack-model.js';
import { changedModel, type ModelChanges } from '../../../fuzz/model-bytes.js';
import { ABSURD, modelVictims, wrongShapes } from '../../../fuzz/model-cases.js';

export const victims = modelVictims();
/** A small model of each family. */
export const F16 = victims
  .filter(({ file }) => file.endsWith('-f16.gguf'))
  .map((victim) => [victim.file, victim] as const);
/** Those that are tried in short. */
export const SHORT = /^(gemma3|gpt2|phi3|qwen3moe)-/;
const REFUSED = /^(GGUF|LLM)_/;

/** What becomes of a victim with changes. */
export const outcomeOf = (file: string, changes: ModelChanges) =>
  attackModel(changedModel(victims.find((victim) => victim.file === file)!.bytes, changes));
/** Small models of families that are not what they say end in typed errors. */
export function hostileFamilies(families: typeof F16): void {
  it.each(families)('%s without one of its tensors', (file, { tensors }) => {
    for (const { name } of tensors.filter((tensor) => !/^blk\.[1-9]/.test(tensor.name))) {
      // The output matrix may be the embedding, a bias may be none; a matrix without its gate is taken for both; and a layer
      // without a second norm is parallel, of which the other bias says that it is not.
      const mayBeElse: Readonly<Record<string, RegExp>> = {
        'output.weight': /^runs$/,
        'blk.0.ffn_gate.weight': /^LLM_TENSOR_SHAPE$/,
        'blk.0.ffn_norm.weight': /^LLM_UNSUPPORTED_ARCHITECTURE$|^LLM_TENSOR_MISSING$/,
      };
      const expected =
        mayBeElse[name] ?? (name.endsWith('bias') ? /^LLM_TENSOR_MISSING$|^runs$/ : /^LLM_TENSOR_MISSING$/);
      expect(outcomeOf(file, { tensors: { [name]: undefined } }), name).toMatch(expected);
    }
  });

  it.each(families)('%s with a tensor of another shape', (file, { tensors }) => {
    for (const { name, shape } of tensors.filter((tensor) => !/^blk\.[1-9]/.test(tensor.name))) {
      const others = wrongShapes(shape).filter((other) => !isSameShape(other, shape));
      expect(others.length).toBeGreaterThan(4);
      for (const other of others)
        expect(outcomeOf(file, { tensors: { [name]: { shape: other } } }), `${name} ${other}`).toMatch(
          REFUSED,
        );
    }
  });

  it.each(families)(
    '%s with a norm, bias or factor in another type, and with one that nobody knows',
    (file, { tensors }) => {
      for (const { name, shape } of tensors.filter((tensor) => !/^blk\.[1-9]/.test(tensor.name))) {
        expect(outcomeOf(file, { tensors: { [name]: { type: 4000 as GgmlType } } }), name).toMatch(REFUSED);
        if (shape.length > 1) continue;
        expect(outcomeOf(file, { tensors: { [name]: { type: GgmlType.F16 } } }), name).toBe(
          'LLM_TENSOR_TYPE',
        );
      }
    },
  );

  it.each(families)('%s with weights that are no numbers', (file, { tensors }) => {
    for (const { name } of tensors.filter((tensor) =>
      /^(blk\.0\..*norm|.*bias|output_norm)/.test(tensor.name),
    ))
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY])
        expect(outcomeOf(file, { tensors: { [name]: { value } } }), name).toMatch(/LLM_NOT_FINITE|runs/);
  });

  it.each(families)('%s with a number of its own that is none', (file, { keys, bytes }) => {
    const metadata = openGguf(bytesSource(bytes)).metadata;
    const numbers = keys.filter(
      (key) => typeof metadata.get(key) === 'number' && !/^(tokenizer|general)/.test(key),
    );
    // Not read: the embedding's rows count, and of a mixture the length of an expert.
    for (const key of numbers.filter((one) => !/\.vocab_size$|^qwen3moe\.feed_forward_length$/.test(one)))
      for (const entry of ABSURD.filter(isNoNumber))
        expect(outcomeOf(file, { metadata: { [key]: entry } }), `${key} ${entry.value}`).toMatch(
          /^LLM_METADATA_INVALID$/,
        );
  });
}

/** What no reader may take for a number of a family's own. */
function isNoNumber({ type, value }: GgufEntry): boolean {
  return (
    type === 'string' || type === 'bool' || type === 'array' || value === 2n ** 63n || !(Number(value) >= 0)
  );
}

/** Dimensions of 1 at the end are as good as absent. */
function isSameShape(a: readonly number[], b: readonly number[]): boolean {
  const trimmed = (shape: readonly number[]) =>
    shape.slice(0, shape.findLastIndex((length) => length !== 1) + 1).join();
  return trimmed(a) === trimmed(b);
}
