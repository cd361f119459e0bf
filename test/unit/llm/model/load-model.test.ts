import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/description-file.js';
import { Accelerator } from '../../../../driver/accelerator.js';
import { isPynqLlmError } from '../../../../errors/index.js';
import { fileSource, GgmlType, openGguf } from '../../../../gguf/index.js';
import { readConfig } from '../../../../llm/model/config.js';
import { type LoadOptions, loadModel } from '../../../../llm/model/load-model.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { changed, logitsOf, syntheticGguf, TINY_STORIES } from '../models.js';

const tiny = openGguf(fileSource(TINY_STORIES));

/** The code and the words of the error that loading ends in. */
function failure(gguf: typeof tiny, options: LoadOptions = {}): string {
  try {
    loadModel(gguf, options).close();
  } catch (error) {
    if (isPynqLlmError(error)) return error.message;
    throw error;
  }
  return 'loaded';
}

describe('a model file that cannot be computed is refused with a reason', () => {
  it('another architecture is named', () => {
    const message = failure(changed(tiny, { 'general.architecture': 'mamba' }));
    expect(message).toMatch(/LLM_UNSUPPORTED_ARCHITECTURE.*"mamba".*"llama"/);
  });

  it('a mixture of experts', () => {
    expect(failure(changed(tiny, { 'llama.expert_count': 8 }))).toMatch(
      /LLM_UNSUPPORTED_ARCHITECTURE.*8 experts/,
    );
  });

  it.each([
    'general.architecture',
    'llama.embedding_length',
    'llama.block_count',
    'llama.feed_forward_length',
    'llama.attention.head_count',
    'llama.attention.layer_norm_rms_epsilon',
    'llama.context_length',
  ])('without the key %s', (key) => {
    expect(failure(changed(tiny, { [key]: undefined }))).toMatch(new RegExp(`LLM_METADATA_MISSING.*${key}`));
  });

  it.each([
    ['llama.attention.head_count_kv', 3],
    ['llama.attention.head_count', 'four'],
    ['llama.block_count', 1.5],
    ['llama.block_count', 1_000_000],
    ['llama.rope.dimension_count', 65],
    ['llama.rope.dimension_count', 128],
    ['llama.rope.freq_base', Number.NaN],
  ])('with %s = %s', (key, value) => {
    expect(failure(changed(tiny, { [key]: value }))).toMatch(new RegExp(`LLM_METADATA_INVALID.*${key}`));
  });

  it.each([
    [{ 'llama.rope.scaling.factor': 4 }, { scale: 0.25 }],
    [{ 'llama.rope.scale_linear': 4 }, { scale: 0.25 }],
    [{ 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 4 }, { scale: 0.25 }],
    [{ 'llama.rope.scaling.type': 'none', 'llama.rope.scaling.factor': 4 }, { scale: 1 }],
    [{ 'llama.rope.scaling.attn_factor': 2 }, { attentionFactor: 2 }],
    [
      {
        'llama.rope.scaling.type': 'yarn',
        'llama.rope.scaling.yarn_beta_fast': 8,
        'llama.rope.scaling.yarn_beta_slow': 2,
        'llama.rope.scaling.yarn_ext_factor': 0.5,
        'llama.rope.scaling.yarn_attn_factor': 3,
      },
      { attentionFactor: 3, yarn: { extrapolation: 0.5, betaFast: 8, betaSlow: 2 } },
    ],
    [{ 'llama.rope.scaling.type': 'yarn', 'llama.rope.scaling.yarn_ext_factor': 0 }, { yarn: undefined }],
  ])('no RoPE scaling that llama.cpp would see is left out: %j', (keys, rope) => {
    const usual = { scale: 1, attentionFactor: 1, yarn: undefined };
    expect(readConfig(changed(tiny, keys)).rope).toMatchObject({ ...usual, ...rope });
  });

  it('layers that are not alike, and are listed', () => {
    const listed = (kvHeads: readonly number[]) =>
      changed(tiny, { 'llama.attention.head_count_kv': Uint32Array.from(kvHeads) });
    expect(failure(listed([2, 1, 2]))).toMatch(/LLM_METADATA_INVALID.*its layers differ/);
    const { kvHeads } = readConfig(tiny);
    expect(readConfig(listed([kvHeads, kvHeads, kvHeads])).kvHeads).toBe(kvHeads);
  });

  it('more tokens in the tokenizer than in the embedding, or fewer', () => {
    const tokens = [...(tiny.metadata.get('tokenizer.ggml.tokens') as string[])];
    const types = tiny.metadata.get('tokenizer.ggml.token_type') as Int32Array;
    const scores = tiny.metadata.get('tokenizer.ggml.scores') as Float32Array;
    const fewer = changed(tiny, {
      'tokenizer.ggml.tokens': tokens.slice(0, -1),
      'tokenizer.ggml.token_type': types.slice(0, -1),
      'tokenizer.ggml.scores': scores.slice(0, -1),
    });
    expect(failure(fewer)).toMatch(/LLM_TENSOR_SHAPE.*tokens/);
  });

  it('a RoPE scaling that is not computed', () => {
    const message = failure(changed(tiny, { 'llama.rope.scaling.type': 'dynamic' }));
    expect(message).toMatch(/LLM_ROPE_SCALING_UNSUPPORTED.*dynamic/);
    const long = failure(changed(tiny, { 'llama.rope.scaling.type': 'longrope' }));
    expect(long).toMatch(/LLM_TENSOR_MISSING.*rope_factors_short/);
  });

  it.each(['token_embd.weight', 'output_norm.weight', 'blk.2.ffn_down.weight'])(
    'without the tensor %s',
    (name) => {
      expect(failure(changed(tiny, {}, { [name]: undefined }))).toMatch(
        new RegExp(`LLM_TENSOR_MISSING.*${name}`),
      );
    },
  );

  it('a tensor of another shape', () => {
    const message = failure(changed(tiny, {}, { 'blk.1.attn_k.weight': { shape: [256, 256] } }));
    expect(message).toMatch(/LLM_TENSOR_SHAPE.*blk\.1\.attn_k\.weight has the shape 256 x 256.*256 x 128/);
  });

  it('norm weights that are quantised', () => {
    const message = failure(changed(tiny, {}, { 'output_norm.weight': { type: GgmlType.F16 } }));
    expect(message).toMatch(/LLM_TENSOR_TYPE.*output_norm\.weight is stored as F16/);
  });

  it.each([0, 513, 1.5])('a context length of %s', (contextLength) => {
    expect(failure(tiny, { contextLength })).toMatch(/LLM_CONTEXT_LENGTH.*1 to 512/);
  });
});

it.each([
  [
    { 'llama.rope.freq_base': undefined },
    { rope: { base: 10_000 } },
    'llama.rope.freq_base is missing; assumed: 10000',
  ],
  [
    { 'llama.rope.dimension_count': undefined },
    { rope: { dimensions: 64 } },
    'llama.rope.dimension_count is missing; assumed: the length of a head',
  ],
  [
    { 'llama.attention.head_count_kv': undefined },
    { kvHeads: 4 },
    'llama.attention.head_count_kv is missing; assumed: 4, as llama.attention.head_count',
  ],
  [
    { 'general.name': undefined, 'llama.vocab_size': undefined },
    { name: 'unnamed', vocabSize: 2304 },
    undefined,
  ],
  [{ 'general.name': 7 }, { name: 'unnamed' }, 'general.name is 7; assumed: "unnamed"'],
  [{ 'llama.vocab_size': 5 }, { vocabSize: 2304 }, undefined],
])('with %j it has what llama.cpp takes for granted', (keys, expected, said) => {
  const assumed = new Set<string>();
  expect(readConfig(changed(tiny, keys), assumed)).toMatchObject(expected);
  expect([...assumed]).toEqual(said === undefined ? [] : [said]);
});

it('the configuration of the bundled model is what its maker wrote', () => {
  expect(readConfig(tiny)).toMatchObject({
    name: 'tiny-stories',
    vocabSize: 2304,
    trainedContext: 512,
    embedding: 256,
    layers: 3,
    feedForward: 768,
    heads: 4,
    kvHeads: 2,
    headDim: 64,
    tiedOutput: false,
    rope: { dimensions: 64, base: 10000, scale: 1 },
  });
});

it('types that the core cannot take give nearly the same logits as float32', () => {
  // These files hold the same random weights, more or less exactly.
  const exact = logitsOf(loadModel(syntheticGguf(() => GgmlType.F32)), [1, 5, 9]).at(-1)!;
  const length = Math.hypot(...exact);
  for (const [type, tolerance] of [
    ['F16', 0.003],
    ['BF16', 0.02],
    ['Q8_0', 0.03],
    ['Q4_0', 0.4],
  ] as const) {
    const logits = logitsOf(loadModel(syntheticGguf(() => GgmlType[type])), [1, 5, 9]).at(-1)!;
    const distance = Math.hypot(...logits.map((value, i) => value - exact[i])) / length;
    expect.soft(distance, type).toBeLessThan(tolerance);
    expect.soft(distance, type).toBeGreaterThan(0);
  }
});

it('a tied output multiplies with the embedding', () => {
  const tied = loadModel(syntheticGguf(() => GgmlType.Q4_K, { tiedOutput: true }));
  expect(tied.config.tiedOutput).toBe(true);
  expect(tied.placement.tensors.at(-1)).toMatchObject({ name: 'token_embd.weight', rows: 1000 });
  expect(logitsOf(tied, [3])[0].every(Number.isFinite)).toBe(true);
});

describe('on a board', () => {
  it('results are those of the CPU to the bit, whether weights are resident or staged', () => {
    const gguf = syntheticGguf((name) => (name.includes('ffn') ? GgmlType.Q2_K : GgmlType.Q5_K));
    const onCpu = logitsOf(loadModel(gguf), [1, 2, 3]);
    const description = loadBoardDescription('pynq-z1');
    for (const size of [description.dmaMemory[0].size, 8 << 20]) {
      const small = { ...description, dmaMemory: [{ base: description.dmaMemory[0].base, size }] };
      const accelerator = new Accelerator(openMockBoard(small));
      const model = loadModel(gguf, { accelerator });
      expect(logitsOf(model, [1, 2, 3])).toEqual(onCpu);
      model.close();
    }
  });

  it('closing the model gives all device memory back, and a load that fails keeps none', () => {
    const board = openMockBoard(loadBoardDescription('pynq-z1'));
    const accelerator = new Accelerator(board);
    const { free } = board.dmaMemory();
    const model = loadModel(tiny, { accelerator });
    expect(board.dmaMemory().free).toBeLessThan(free);
    model.close();
    expect(board.dmaMemory().free).toBe(free);
    const stop = () => {
      throw new Error('stopped');
    };
    expect(() => loadModel(tiny, { accelerator, onProgress: stop })).toThrow('stopped');
    expect(board.dmaMemory().free).toBe(free);
  });

  it('progress counts the bytes of all matrices', () => {
    const steps: [number, number][] = [];
    loadModel(tiny, { onProgress: (loaded, total) => steps.push([loaded, total]) }).close();
    expect(steps).toHaveLength(22);
    expect(steps.at(-1)![0]).toBe(steps.at(-1)![1]);
  });
});
