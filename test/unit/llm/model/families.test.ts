import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { loadBoardDescription } from '../../../../board/description-file.js';
import { Accelerator } from '../../../../driver/accelerator.js';
import { bytesSource, fileSource, GgmlType, GgufFile, openGguf } from '../../../../gguf/index.js';
import { modelShape } from '../../../../llm/memory/model-shape.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import type { Model } from '../../../../llm/model/model.js';
import { Workspace } from '../../../../llm/model/workspace.js';
import { Random } from '../../../../maths/index.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { compareModel, readReference } from '../../../reference/compare.js';
import { changed } from '../models.js';
import { expectSameBits } from '../same-bits.js';

const FOLDER = join('test', 'fixtures', 'families');
const reference = [...readReference(join(FOLDER, 'reference.json'))];
const open = (file: string) => openGguf(fileSource(join(FOLDER, file)));

/** Logits after each token, fed in pieces of so many. */
function logitsInPieces(model: Model, tokens: readonly number[], piece: number): Float32Array[] {
  const cache = model.newCache();
  const columns = tokens.map((token, position) => ({
    cache,
    token,
    position,
    logits: new Float32Array(model.config.vocabSize),
  }));
  for (let at = 0; at < columns.length; at += piece) model.forward(columns.slice(at, at + piece));
  cache.release();
  return columns.map(({ logits }) => logits);
}

describe('a model of another family', () => {
  it.each(reference)('%s computes what llama.cpp computes', (file, cases) => {
    const accelerator = new Accelerator(openMockBoard(loadBoardDescription('pynq-z1')));
    expect(compareModel(FOLDER, file, cases, accelerator).failures).toEqual([]);
    accelerator.close();
  });

  it.each(reference)(
    '%s gives the same bits token by token, together, and as the last of a prompt',
    (file) => {
      for (const kvType of ['f16', 'int8'] as const) {
        const model = loadModel(open(file), { maxColumns: 16, kvType });
        const tokens = Array.from({ length: 24 }, (_, i) => 3 + ((i * 37) % 250));
        const alone = logitsInPieces(model, tokens, 1);
        for (const piece of [7, 24])
          for (const [i, logits] of logitsInPieces(model, tokens, piece).entries())
            expectSameBits(logits, alone[i]);
        const cache = model.newCache();
        const last = new Float32Array(model.config.vocabSize);
        const column = (position: number) => ({ cache, token: tokens[position], position });
        model.forward(tokens.map((_, i) => (i === 23 ? { ...column(i), logits: last } : column(i))));
        expectSameBits(last, alone[23]);
        model.close();
      }
    },
  );
});

describe('what a family has of its own counts', () => {
  const tokens = Array.from({ length: 24 }, (_, i) => 3 + ((i * 41) % 250));
  const lastOf = (gguf: ReturnType<typeof open>) => {
    const model = loadModel(gguf);
    const logits = logitsInPieces(model, tokens, 24).at(-1)!;
    model.close();
    return logits;
  };
  const difference = (file: string, metadata: Parameters<typeof changed>[1]) => {
    const [usual, other] = [open(file), changed(open(file), metadata)].map(lastOf);
    return Math.max(...usual.map((value, i) => Math.abs(value - other[i])));
  };

  it.each([
    ['gemma2-f16.gguf', { 'gemma2.attention.sliding_window': 9 }],
    ['gemma2-f16.gguf', { 'gemma2.attn_logit_softcapping': 3 }],
    ['gemma2-f16.gguf', { 'gemma2.final_logit_softcapping': 7 }],
    ['gemma3-f16.gguf', { 'gemma3.attention.sliding_window_pattern': 2 }],
    ['gemma3-f16.gguf', { 'gemma3.rope.freq_base_swa': 9000 }],
    ['granite-f16.gguf', { 'granite.embedding_scale': 5 }],
    ['granite-f16.gguf', { 'granite.attention.scale': 0.2 }],
    ['granite-f16.gguf', { 'granite.residual_scale': 0.5 }],
    ['granite-f16.gguf', { 'granite.logit_scale': 5 }],
    ['granite-f16.gguf', { 'granite.rope.scaling.finetuned': false }],
    ['qwen3moe-f16.gguf', { 'qwen3moe.expert_used_count': 3 }],
    ['stablelm-f16.gguf', { 'stablelm.rope.dimension_count': 6 }],
    ['lfm2-f16.gguf', { 'lfm2.attention.sliding_window': 9 }],
    ['stablelm-f16.gguf', { 'stablelm.attention.layer_norm_epsilon': 0.1 }],
  ])('%s with %j', (file, metadata) => {
    expect(difference(file, metadata)).toBeGreaterThan(0.01);
  });

  it('a list of layers with windows is a pattern', () => {
    const pattern = [true, false, true];
    expect(difference('gemma2-f16.gguf', { 'gemma2.attention.sliding_window_pattern': pattern })).toBe(0);
    const all = { 'gemma2.attention.sliding_window_pattern': [true, true, true] };
    expect(difference('gemma2-f16.gguf', all)).toBeGreaterThan(0.01);
  });
});

describe('LongRoPE', () => {
  const base = open('phi3-f16.gguf');
  const some = base.tensors.get('blk.0.attn_norm.weight')!;
  /** Six values of a norm, as factors. */
  const factors = (name: string, at: number) => ({
    ...some,
    name,
    shape: [6],
    columns: 6,
    rowBytes: 24,
    byteLength: 24,
    byteOffset: some.byteOffset + at,
  });
  const logits = (scaling: string, contextLength: number, ...tensors: ReturnType<typeof factors>[]) => {
    const metadata = {
      'phi3.rope.scaling.type': scaling,
      'phi3.rope.scaling.original_context_length': 64,
      'phi3.rope.scaling.attn_factor': 1.2,
    };
    const gguf = changed(base, metadata);
    const all = new Map([...gguf.tensors, ...tensors.map((tensor) => [tensor.name, tensor] as const)]);
    const model = loadModel(new GgufFile(gguf.source, gguf.version, gguf.metadata, all), { contextLength });
    const last = logitsInPieces(model, [3, 50, 99, 7, 12], 5).at(-1)!;
    model.close();
    return last;
  };

  it('divides angles by one of two vectors, by the context that a model is loaded with', () => {
    const pair = [factors('rope_factors_short.weight', 0), factors('rope_factors_long.weight', 24)];
    const [short, long] = [0, 24].map((at) => factors('rope_freqs.weight', at));
    expectSameBits(logits('longrope', 64, ...pair), logits('none', 64, short));
    expectSameBits(logits('longrope', 65, ...pair), logits('none', 65, long));
    expect(logits('longrope', 65, ...pair)).not.toEqual(logits('longrope', 64, ...pair));
    expect(() => logits('longrope', 64, pair[0])).toThrow(/LLM_TENSOR_MISSING.*rope_factors_long/);
  });
});

/** As StableLM 2 12B has it; no such file was compared with llama.cpp, whose graph says what is tested here. */
describe('a norm of each head with weights of its own', () => {
  const base = open('stablelm-f16.gguf');
  const [heads, kvHeads, headDim, layers] = [4, 2, 12, 2];
  const EPSILON = 1e-5;
  const random = new Random(5);
  const weightsOf = (count: number) =>
    Float32Array.from({ length: count * headDim }, () => 0.5 + random.nextDouble());
  const norms = Array.from({ length: layers }, () => ({ q: weightsOf(heads), k: weightsOf(kvHeads) }));

  /** The file with tensors put behind its end. */
  function withTensors(added: Readonly<Record<string, { values: Float32Array; shape: number[] }>>) {
    const bytes = new Uint8Array(base.source.size);
    base.source.readInto(0, bytes);
    const pieces: Uint8Array[] = [bytes];
    const tensors = new Map(base.tensors);
    const like = base.tensors.get('blk.0.attn_norm.weight')!;
    let byteOffset = bytes.length;
    for (const [name, { values, shape }] of Object.entries(added)) {
      const byteLength = values.byteLength;
      const [columns, rows = 1] = shape;
      tensors.set(name, {
        ...like,
        name,
        shape,
        rows,
        columns,
        rowBytes: 4 * columns,
        byteOffset,
        byteLength,
      });
      pieces.push(new Uint8Array(values.buffer));
      byteOffset += byteLength;
    }
    return new GgufFile(bytesSource(Buffer.concat(pieces)), base.version, base.metadata, tensors);
  }

  const added = Object.fromEntries(
    norms.flatMap(({ q, k }, layer) => [
      [`blk.${layer}.attn_q_norm.weight`, { values: q, shape: [headDim, heads] }],
      [`blk.${layer}.attn_k_norm.weight`, { values: k, shape: [headDim, kvHeads] }],
    ]),
  );

  it('takes off a head’s mean, divides by its deviation and has no bias', () => {
    const seen: { norm: Float32Array; before: Float32Array; after: Float32Array }[] = [];
    const { normalizeRows } = Workspace.prototype;
    vi.spyOn(Workspace.prototype, 'normalizeRows').mockImplementation(function (
      this: Workspace,
      norm,
      values,
      rows,
    ) {
      const length = rows * norm.weight.length;
      const before = values.slice(0, length);
      normalizeRows.call(this, norm, values, rows);
      seen.push({ norm: norm.weight, before, after: values.slice(0, length) });
    });
    const model = loadModel(withTensors(added), { maxColumns: 8 });
    logitsInPieces(model, [3, 50, 99, 7, 12], 5);
    model.close();
    vi.restoreAllMocks();
    expect(seen.map(({ norm }) => norm)).toEqual(norms.flatMap(({ q, k }) => [k, q]));
    for (const { norm, before, after } of seen) {
      expect(before.length).toBe(5 * norm.length);
      const expected = before.map((_, i) => {
        const head = before.subarray(i - (i % headDim), i - (i % headDim) + headDim);
        const mean = head.reduce((sum, value) => sum + value, 0) / headDim;
        const variance = head.reduce((sum, value) => sum + (value - mean) ** 2, 0) / headDim;
        return ((before[i] - mean) / Math.sqrt(variance + EPSILON)) * norm[i % norm.length];
      });
      for (const [i, value] of after.entries()) expect(value).toBeCloseTo(expected[i], 5);
    }
  });

  it('gives the same bits token by token and together, and counts', () => {
    const tokens = Array.from({ length: 24 }, (_, i) => 3 + ((i * 37) % 250));
    const model = loadModel(withTensors(added), { maxColumns: 16 });
    const alone = logitsInPieces(model, tokens, 1);
    for (const [i, logits] of logitsInPieces(model, tokens, 24).entries()) expectSameBits(logits, alone[i]);
    model.close();
    const without = loadModel(base);
    expect(logitsInPieces(without, tokens, 24).at(-1)).not.toEqual(alone.at(-1));
    without.close();
    expect(modelShape(withTensors(added)).vectorValues - modelShape(base).vectorValues).toBe(
      layers * (heads + kvHeads) * headDim,
    );
  });

  it('of another shape is refused', () => {
    const [shape, values] = [[headDim, kvHeads], norms[0].k];
    const gguf = withTensors({ ...added, 'blk.0.attn_q_norm.weight': { values, shape } });
    expect(() => loadModel(gguf)).toThrow(/LLM_TENSOR_SHAPE.*attn_q_norm/);
  });
});

describe('a file of a family', () => {
  const failure = (gguf: ReturnType<typeof open>) => {
    try {
      loadModel(gguf).close();
    } catch (error) {
      return String(error);
    }
    return 'loaded';
  };

  it.each([
    ['qwen2-f16.gguf', 'blk.1.attn_k.bias', /LLM_TENSOR_MISSING/],
    ['qwen3-f16.gguf', 'blk.0.attn_q_norm.weight', /LLM_TENSOR_MISSING/],
    ['gemma2-f16.gguf', 'blk.0.post_ffw_norm.weight', /LLM_TENSOR_MISSING/],
    ['gpt2-f16.gguf', 'position_embd.weight', /LLM_TENSOR_MISSING/],
    ['starcoder2-f16.gguf', 'output_norm.bias', /LLM_TENSOR_MISSING/],
    ['phi3-f16.gguf', 'blk.0.attn_qkv.weight', /LLM_TENSOR_MISSING/],
    ['qwen3moe-f16.gguf', 'blk.1.ffn_up_exps.weight', /LLM_TENSOR_MISSING/],
    ['qwen3moe-f16.gguf', 'blk.0.ffn_gate_inp.weight', /LLM_TENSOR_MISSING/],
    ['lfm2-f16.gguf', 'blk.2.shortconv.conv.weight', /LLM_TENSOR_MISSING/],
    ['lfm2-f16.gguf', 'blk.0.shortconv.in_proj.weight', /LLM_TENSOR_MISSING/],
    ['lfm2-f16.gguf', 'blk.0.shortconv.out_proj.weight', /LLM_TENSOR_MISSING/],
    ['lfm2-f16.gguf', 'token_embd_norm.weight', /LLM_TENSOR_MISSING/],
    ['lfm2-f16.gguf', 'blk.1.attn_k_norm.weight', /LLM_TENSOR_MISSING/],
  ])('%s without %s is refused', (file, tensor, why) => {
    expect(failure(changed(open(file), {}, { [tensor]: undefined }))).toMatch(why);
  });

  it.each([
    ['qwen2-f16.gguf', 'blk.0.attn_q.bias', { shape: [47] }],
    ['phi3-f16.gguf', 'blk.0.attn_qkv.weight', { shape: [48, 95] }],
    ['gpt2-f16.gguf', 'position_embd.weight', { shape: [48, 95] }],
    ['olmo2-f16.gguf', 'blk.0.attn_k_norm.weight', { shape: [48] }],
    ['qwen3moe-f16.gguf', 'blk.0.ffn_down_exps.weight', { shape: [32, 48, 3] }],
    ['lfm2-f16.gguf', 'blk.0.shortconv.conv.weight', { shape: [4, 48] }],
    ['lfm2-f16.gguf', 'blk.0.shortconv.conv.weight', { shape: [48, 3] }],
    ['lfm2-f16.gguf', 'blk.2.shortconv.in_proj.weight', { shape: [48, 96] }],
  ])('%s with %s of another shape is refused', (file, tensor, change) => {
    expect(failure(changed(open(file), {}, { [tensor]: change }))).toMatch(/LLM_TENSOR_SHAPE/);
  });

  it.each([
    ['gemma2-f16.gguf', { 'gemma2.attention.sliding_window': -1 }],
    ['gemma2-f16.gguf', { 'gemma2.attention.sliding_window_pattern': [true] }],
    ['gemma2-f16.gguf', { 'gemma2.attn_logit_softcapping': 1e-9 }],
    ['granite-f16.gguf', { 'granite.logit_scale': 0 }],
    ['granite-f16.gguf', { 'granite.embedding_scale': Number.NaN }],
    ['gpt2-f16.gguf', { 'gpt2.attention.layer_norm_epsilon': -1 }],
    ['qwen3moe-f16.gguf', { 'qwen3moe.expert_used_count': 5 }],
    ['qwen3moe-f16.gguf', { 'qwen3moe.expert_count': 0 }],
    ['qwen3moe-f16.gguf', { 'qwen3moe.expert_count': 1e9 }],
    ['lfm2-f16.gguf', { 'lfm2.shortconv.l_cache': 0 }],
    ['lfm2-f16.gguf', { 'lfm2.shortconv.l_cache': 1 }],
    ['lfm2-f16.gguf', { 'lfm2.shortconv.l_cache': -3 }],
    ['lfm2-f16.gguf', { 'lfm2.shortconv.l_cache': 2.5 }],
    ['lfm2-f16.gguf', { 'lfm2.shortconv.l_cache': 1e9 }],
    ['lfm2-f16.gguf', { 'lfm2.attention.head_count_kv': Uint32Array.of(0, 0, 0) }],
    ['lfm2-f16.gguf', { 'lfm2.attention.head_count_kv': Uint32Array.of(0, 2) }],
    ['lfm2-f16.gguf', { 'lfm2.attention.head_count_kv': Uint32Array.of(2, 4, 0) }],
    ['lfm2-f16.gguf', { 'lfm2.attention.head_count_kv': Uint32Array.of(0, 3, 0) }],
    ['lfm2-f16.gguf', { 'lfm2.attention.head_count_kv': Int32Array.of(-1, 2, 0) }],
    ['lfm2-f16.gguf', { 'lfm2.attention.head_count_kv': Float32Array.of(0.5, 2, 0) }],
    ['lfm2-f16.gguf', { 'lfm2.attention.head_count_kv': 0 }],
    ['qwen2-f16.gguf', { 'qwen2.attention.head_count_kv': Uint32Array.of(0, 2, 0) }],
    ['qwen3moe-f16.gguf', { 'qwen3moe.expert_count': -1 }],
    ['qwen3moe-f16.gguf', { 'qwen3moe.expert_count': 3.5 }],
    ['qwen3moe-f16.gguf', { 'qwen3moe.expert_used_count': 0 }],
    ['qwen3moe-f16.gguf', { 'qwen3moe.expert_used_count': 2 ** 40 }],
    ['qwen3moe-f16.gguf', { 'qwen3moe.expert_used_count': Number.NaN }],
    ['qwen3moe-f16.gguf', { 'qwen3moe.expert_feed_forward_length': 0 }],
    ['qwen3moe-f16.gguf', { 'qwen3moe.expert_feed_forward_length': 2 ** 40 }],
  ])('%s with %j is refused', (file, metadata) => {
    expect(failure(changed(open(file), metadata))).toMatch(/LLM_METADATA_INVALID/);
  });

  it.each([
    ['lfm2-f16.gguf', { 'lfm2.shortconv.l_cache': undefined }, /LLM_METADATA_MISSING.*l_cache/],
    ['lfm2-f16.gguf', { 'lfm2.attention.causal': false }, /LLM_UNSUPPORTED_ARCHITECTURE.*see those after/],
    // All of its layers attend: their tensors are not there.
    ['lfm2-f16.gguf', { 'lfm2.attention.head_count_kv': 2 }, /LLM_TENSOR_MISSING.*blk\.0\.attn_q/],
    [
      'lfm2-f16.gguf',
      { 'lfm2.attention.head_count_kv': Uint32Array.of(2, 0, 0) },
      /LLM_TENSOR_MISSING.*blk\.0\.attn_q/,
    ],
  ])('%s with %j is refused', (file, metadata, why) => {
    expect(failure(changed(open(file), metadata))).toMatch(why);
  });

  it('with weights of a convolution that are no float32 is refused', () => {
    const half = { type: GgmlType.F16, rowBytes: 6, byteLength: 6 * 48 };
    const gguf = changed(open('lfm2-f16.gguf'), {}, { 'blk.0.shortconv.conv.weight': half });
    expect(failure(gguf)).toMatch(/LLM_TENSOR_TYPE.*shortconv\.conv/);
  });

  it.each([
    [{ 'qwen3moe.expert_count': 1024 }, /LLM_TENSOR_SHAPE/],
    [{ 'qwen3moe.expert_count': 3 }, /LLM_TENSOR_SHAPE/],
    [{ 'qwen3moe.expert_feed_forward_length': 2 ** 20 }, /LLM_TENSOR_SHAPE/],
    // Of one expert's length all of them would have the feed-forward's.
    [
      { 'qwen3moe.expert_feed_forward_length': undefined, 'qwen3moe.feed_forward_length': 66 },
      /LLM_TENSOR_SHAPE/,
    ],
    [{ 'qwen3moe.expert_count': undefined }, /LLM_METADATA_MISSING/],
    [{ 'qwen3moe.expert_used_count': undefined }, /LLM_METADATA_MISSING/],
  ])('of experts that are not those of its tensors is refused: %j', (metadata, why) => {
    expect(failure(changed(open('qwen3moe-f16.gguf'), metadata))).toMatch(why);
  });

  it('with a tensor that the graph has no place for is refused', () => {
    const gguf = changed(open('qwen2-f16.gguf'), { 'general.architecture': 'qwen2' });
    const tensors = new Map(gguf.tensors).set(
      'blk.0.ffn_gate_inp.weight',
      gguf.tensors.get('blk.0.ffn_gate.weight')!,
    );
    expect(failure({ ...gguf, tensors, readTensor: gguf.readTensor } as typeof gguf)).toMatch(
      /LLM_UNSUPPORTED_ARCHITECTURE.*blk\.0\.ffn_gate_inp\.weight/,
    );
  });
});
