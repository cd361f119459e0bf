import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLOCK_FORMATS, bytesSource, GgmlType, type GgufEntry, openGguf } from '../../../../gguf/index.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { attackModel } from '../../../fuzz/attack-model.js';
import { changedModel } from '../../../fuzz/model-bytes.js';
import { ABSURD_WEIGHTS, modelCase } from '../../../fuzz/model-cases.js';
import { Dice } from '../../../load/workload.js';
import { syntheticGguf } from '../models.js';
import { F16, hostileFamilies, outcomeOf, SHORT, victims } from './hostile-families.js';

describe('a model of any family that is not what it says ends in a typed error', () => {
  // Experts, windows, biases and a fused gate; the other families: test/long.
  hostileFamilies(F16.filter(([file]) => SHORT.test(file)));

  it('one with anything of that together, or with damaged bytes', () => {
    const outcomes = new Set<string>();
    fc.assert(
      fc.property(fc.nat(0x7fff_fffe), (seed) => {
        const { title, bytes } = modelCase(new Dice(seed), victims);
        const outcome = attackModel(bytes);
        outcomes.add(outcome);
        expect(outcome, title).toMatch(/^(GGUF|LLM)_|^runs$/);
      }),
      { numRuns: 150 },
    );
    expect(outcomes.size).toBeGreaterThan(5);
  });

  it('one whose last tensor ends too early', () => {
    for (const [file] of F16) expect(outcomeOf(file, { missingBytes: 64 })).toBe('GGUF_TRUNCATED');
  });
});

describe('keys of single families', () => {
  it.each<readonly [string, Readonly<Record<string, GgufEntry>>]>([
    ['qwen3moe-f16.gguf', { 'qwen3moe.expert_used_count': { type: 'uint32', value: 65 } }],
    [
      'gemma3-f16.gguf',
      { 'gemma3.attention.sliding_window_pattern': { type: 'array', of: 'uint32', value: [1, 0, 7] } },
    ],
    ['phi3-f16.gguf', { 'phi3.rope.scaling.factor': { type: 'float32', value: 1e-40 } }],
    ['phi3-f16.gguf', { 'phi3.rope.scaling.attn_factor': { type: 'float32', value: 0 } }],
    [
      'qwen2-f16.gguf',
      {
        'qwen2.rope.scaling.type': { type: 'string', value: 'yarn' },
        'qwen2.rope.freq_base': { type: 'float32', value: 1 },
      },
    ],
  ])('%s with %j is refused', (file, metadata) => {
    expect(outcomeOf(file, { metadata })).toBe('LLM_METADATA_INVALID');
  });
});

describe('RoPE factors', () => {
  const file = 'phi3-f16.gguf';
  const { bytes } = victims.find((victim) => victim.file === file)!;
  const dimensions = openGguf(bytesSource(bytes)).metadata.get('phi3.rope.dimension_count') as number;
  /** The second layer's last norm is taken for factors; nobody comes to miss it before. */
  const withFactors = (value: number, length = dimensions / 2) => {
    const gguf = openGguf(bytesSource(changedModel(bytes, { tensors: { 'output_norm.weight': { value } } })));
    const norm = gguf.tensors.get('output_norm.weight')!;
    const factors = {
      ...norm,
      name: 'rope_freqs.weight',
      shape: [length],
      columns: length,
      rowBytes: 4 * length,
      byteLength: 4 * length,
    };
    const tensors = new Map(gguf.tensors).set(factors.name, factors);
    return () => loadModel({ ...gguf, tensors, readTensor: gguf.readTensor } as typeof gguf).close();
  };

  it.each(ABSURD_WEIGHTS.filter((value) => !(value > 0 && value < Number.POSITIVE_INFINITY)))(
    'of %s are refused',
    (value) => expect(withFactors(value)).toThrow(/LLM_TENSOR_VALUES.*rope_freqs/),
  );

  it('of another number are refused, and of 2 divide angles', () => {
    expect(withFactors(2, dimensions)).toThrow(/LLM_TENSOR_SHAPE/);
    expect(withFactors(2)).not.toThrow();
  });
});

describe('a stored type', () => {
  // Rows of whole super-blocks, as bytes that mean something else.
  const gguf = syntheticGguf(() => GgmlType.F32, { vocabulary: 260, layers: 1, feedForward: 256 });
  const source = new Uint8Array(gguf.source.size);
  gguf.source.readInto(0, source);
  const matrices = [...gguf.tensors.values()].filter(({ rows }) => rows > 1);
  const types = Object.values(GgmlType).filter((type) => type !== GgmlType.Q8_K);

  it.each(types.map((type) => [BLOCK_FORMATS[type].name, type] as const))(
    '%s with blocks of arbitrary bytes gives numbers or a typed error',
    (_, type) => {
      const tensors = Object.fromEntries(matrices.map(({ name }) => [name, { type }]));
      const bytes = changedModel(source, { tensors });
      expect(attackModel(bytes)).toMatch(/^(runs|LLM_NOT_FINITE)$/);
      for (const seed of [1, 2])
        expect(attackModel(noisy(bytes, source, seed))).toMatch(/^(runs|LLM_NOT_FINITE)$/);
    },
  );

  it.each(
    types
      .filter((type) => BLOCK_FORMATS[type].blockSize > 1)
      .map((type) => [BLOCK_FORMATS[type].name, type] as const),
  )('%s with rows of half a block, or a row less, is refused', (_, type) => {
    const { name, rows } = matrices[0];
    const { blockSize } = BLOCK_FORMATS[type];
    const half = changedModel(source, { tensors: { [name]: { type, shape: [blockSize / 2, rows] } } });
    expect(attackModel(half)).toBe('GGUF_ROW_NOT_WHOLE_BLOCKS');
    const fewer = changedModel(source, { tensors: { [name]: { type, shape: [256, rows - 1] } } });
    expect(attackModel(fewer)).toBe('LLM_TENSOR_SHAPE');
  });
});

/** Random data behind a header. */
function noisy(bytes: Uint8Array, source: Uint8Array, seed: number): Uint8Array {
  const dice = new Dice(seed);
  const first = Math.min(
    ...[...openGguf(bytesSource(bytes)).tensors.values()].map(({ byteOffset }) => byteOffset),
  );
  const noise = Uint8Array.from({ length: 4096 }, () => dice.below(256));
  const start = Math.max(first, 0);
  return Uint8Array.from({ length: bytes.length }, (_, i) =>
    i < start ? bytes[i] : noise[(i + source.length) % 4096],
  );
}
