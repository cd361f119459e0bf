import { describe, expect, it } from 'vitest';
import type { GgufFile } from '../../../../gguf/index.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { type ConvolvingModel, convolvingGguf } from '../convolving.js';
import { changed, logitsOf } from '../models.js';
import { expectSameBits } from '../same-bits.js';

const TOKENS = Array.from({ length: 70 }, (_, i) => 3 + ((i * 37) % 250));

function logits(gguf: GgufFile, tokens = TOKENS): Float32Array[] {
  const model = loadModel(gguf, { maxColumns: 24 });
  const all = logitsOf(model, tokens);
  model.close();
  return all;
}

describe('a convolution', () => {
  it.each([
    [4, 1, 3],
    [5, 2, 3],
    [17, 14, 3],
    [20, 17, 3],
    [40, 20, 20],
    [40, 23, 17],
  ])('over %i tokens of which the oldest %i count nothing is one over %i', (taps, silentTaps, same) => {
    const expected = logits(convolvingGguf({ taps: same }));
    for (const [i, one] of logits(convolvingGguf({ taps, silentTaps })).entries())
      expectSameBits(one, expected[i]);
  });

  it.each([
    [2, 3],
    [3, 4],
    [16, 17],
    [33, 40],
  ])('over %i tokens is another than one over %i, once there are so many', (few, many) => {
    const [a, b] = [few, many].map((taps) => logits(convolvingGguf({ taps })));
    for (let i = 0; i < few; i++) expectSameBits(a![i]!, b![i]!);
    expect(a![few]).not.toEqual(b![few]);
  });

  it('adds up to what its formula says', () => {
    // One layer that convolves and one that adds nothing; all matrices are float32, so that sums can be done in doubles.
    const gguf = convolvingGguf({ convolves: [true, false], idleFrom: 1, taps: 20 });
    const actual = logits(gguf);
    const expected = plainLogits(gguf, 20);
    for (const [i, row] of expected.entries())
      for (const [token, value] of row.entries()) expect(actual[i]![token]!).toBeCloseTo(value, 3);
  });
});

const PATTERNS: [string, Partial<ConvolvingModel>][] = [
  ['first and last', {}],
  ['first', { convolves: [true, false] }],
  ['last', { convolves: [false, true] }],
  ['in the middle', { convolves: [false, true, true, false] }],
  ['in no layer', { convolves: [false, false] }],
  ['over two tokens', { taps: 2 }],
  ['over five', { taps: 5 }],
  ['over a page and one', { taps: 17 }],
  ['over a page and two', { taps: 18 }],
  ['over more than two pages', { taps: 40 }],
  ['of more values than keys have', { embedding: 96, heads: 12, kvHeads: 1 }],
  ['of fewer', { embedding: 16, heads: 4, kvHeads: 4, convolves: [true, false, false, false] }],
];

describe.each(['f16', 'int8'] as const)('with keys and values as %s, convolutions', (kvType) => {
  it.each(PATTERNS)('%s give the same bits token by token, together and in pieces', (_, shape) => {
    const gguf = convolvingGguf(shape);
    const [model, other] = [7, 24].map((maxColumns) => loadModel(gguf, { kvType, maxColumns }));
    const alone = logitsOf(other!, TOKENS, false);
    for (const piece of [1, 5, 16, 23, 70])
      for (const settles of [true, false]) {
        const cache = model!.newCache();
        for (let at = 0; at < TOKENS.length; at += piece) {
          const columns = TOKENS.slice(at, at + piece).map((token, i) => ({
            cache,
            token,
            position: at + i,
            // Of each step the last column and some others.
            ...(i % 3 === 0 || i === piece - 1 || at + i === TOKENS.length - 1
              ? { logits: new Float32Array(model!.config.vocabSize) }
              : {}),
          }));
          model!.forward(columns);
          if (settles) cache.settle();
          for (const { position, logits } of columns) if (logits) expectSameBits(logits, alone[position]!);
        }
        cache.release();
        model!.kvPool.clear();
      }
    expect(model!.kvPool.stats.used).toBe(0);
  });
});

it('a model none of whose layers convolves needs not say over how many tokens', () => {
  const gguf = convolvingGguf({ convolves: [false, false] });
  const expected = logits(gguf);
  for (const [i, one] of logits(changed(gguf, { 'lfm2.shortconv.l_cache': undefined })).entries())
    expectSameBits(one, expected[i]!);
});

/** The logits of a model whose first layer convolves and whose others add nothing, in doubles. */
function plainLogits(gguf: GgufFile, taps: number): number[][] {
  const read = (name: string): number[] => {
    const tensor = gguf.tensors.get(`${name}.weight`)!;
    const bytes = new Uint8Array(tensor.byteLength);
    gguf.readTensor(tensor, 0, tensor.rows, bytes);
    return [...new Float32Array(bytes.buffer)];
  };
  const width = Number(gguf.metadata.get('lfm2.embedding_length'));
  const times = (name: string, x: readonly number[]): number[] => {
    const weights = read(name);
    return Array.from({ length: weights.length / x.length }, (_, row) =>
      x.reduce((sum, value, i) => sum + value * weights[row * x.length + i]!, 0),
    );
  };
  const norm = (name: string, x: readonly number[]): number[] => {
    const scale = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length + 1e-5);
    return read(name).map((weight, i) => x[i]! * scale * weight);
  };
  const [embedding, kernel] = [read('token_embd'), read('blk.0.shortconv.conv')];
  const rows: number[][] = [];
  return TOKENS.map((token, position) => {
    const hidden = embedding.slice(token * width, (token + 1) * width);
    const projected = times('blk.0.shortconv.in_proj', norm('blk.0.attn_norm', hidden));
    rows.push(projected.slice(0, width).map((b, i) => b * projected[2 * width + i]!));
    const mixed = Array.from({ length: width }, (_, i) => {
      let sum = 0;
      for (let back = 0; back < taps && back <= position; back++)
        sum += rows[position - back]![i]! * kernel[i * taps + taps - 1 - back]!;
      return sum * projected[width + i]!;
    });
    const between = times('blk.0.shortconv.out_proj', mixed).map((value, i) => value + hidden[i]!);
    const normed = norm('blk.0.ffn_norm', between);
    const [gate, up] = [times('blk.0.ffn_gate', normed), times('blk.0.ffn_up', normed)];
    const down = times(
      'blk.0.ffn_down',
      gate.map((value, i) => (value / (1 + Math.exp(-value))) * up[i]!),
    );
    const last = between.map((value, i) => value + down[i]!);
    return times('token_embd', norm('token_embd_norm', last));
  });
}
