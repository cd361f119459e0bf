import { describe, expect, it } from 'vitest';
import {
  bytesSource,
  dequantizeRow,
  GgmlType,
  type GgufFile,
  type LlamaDimensions,
  openGguf,
  TINY_LLAMA_1B,
  writeSyntheticLlama,
} from '../../../gguf/index.js';

const SMALL: LlamaDimensions = {
  embedding: 512,
  layers: 2,
  feedForward: 768,
  heads: 8,
  kvHeads: 2,
  vocabulary: 2000,
  contextLength: 128,
  ropeTheta: 10000,
  tiedOutput: false,
};

function synthetic(typeOf: (name: string) => GgmlType, seed = 1, dimensions = SMALL): Buffer {
  const pieces: Uint8Array[] = [];
  writeSyntheticLlama({ write: (bytes) => pieces.push(bytes.slice()) }, { dimensions, typeOf, seed });
  return Buffer.concat(pieces);
}

function weights(file: GgufFile, name: string): Float32Array {
  const tensor = file.tensors.get(name)!;
  const bytes = new Uint8Array(tensor.byteLength);
  const values = new Float32Array(tensor.columns * tensor.rows);
  file.readTensor(tensor, 0, tensor.rows, bytes);
  dequantizeRow(tensor.type, bytes, values.length, values);
  return values;
}

const TYPES = ['Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K', 'F16', 'Q8_0'] as const;

describe('writeSyntheticLlama', () => {
  it.each(TYPES)('gives %s weights a mean near 0 and a deviation near 1/sqrt(row length)', (name) => {
    const file = openGguf(bytesSource(synthetic(() => GgmlType[name])));
    const values = weights(file, 'blk.1.ffn_down.weight');
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const power = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    expect(Math.abs(mean) * Math.sqrt(768)).toBeLessThan(0.03);
    expect(Math.sqrt(power * 768)).toBeGreaterThan(0.95);
    expect(Math.sqrt(power * 768)).toBeLessThan(1.05);
  });

  it('gives the same file for the same seed and another for another', () => {
    const q3 = (): GgmlType => GgmlType.Q3_K;
    expect(synthetic(q3, 5).equals(synthetic(q3, 5))).toBe(true);
    expect(synthetic(q3, 5).equals(synthetic(q3, 6))).toBe(false);
  });

  it('gives no two matrices the same weights', () => {
    const file = openGguf(bytesSource(synthetic(() => GgmlType.Q3_K)));
    expect(weights(file, 'blk.0.attn_q.weight')).not.toEqual(weights(file, 'blk.1.attn_q.weight'));
  });

  it('gives a vocabulary of the wanted size with unknown, BOS, EOS, all bytes and no token twice', () => {
    const { metadata } = openGguf(bytesSource(synthetic(() => GgmlType.Q3_K)));
    const tokens = metadata.get('tokenizer.ggml.tokens');
    if (!Array.isArray(tokens)) throw new Error('no tokens');
    expect(tokens).toHaveLength(2000);
    expect(new Set(tokens).size).toBe(2000);
    expect(tokens.slice(0, 5)).toEqual(['<unk>', '<s>', '</s>', '<0x00>', '<0x01>']);
    expect(tokens[258]).toBe('<0xFF>');
    expect(metadata.get('tokenizer.ggml.scores')).toHaveLength(2000);
    expect(metadata.get('tokenizer.ggml.token_type')).toHaveLength(2000);
  });

  it('leaves out output.weight where the output is tied', () => {
    const file = openGguf(bytesSource(synthetic(() => GgmlType.Q3_K, 1, { ...SMALL, tiedOutput: true })));
    expect(file.tensors.has('output.weight')).toBe(false);
    expect(file.tensors.has('token_embd.weight')).toBe(true);
  });

  it('refuses dimensions that are not whole blocks and a vocabulary without room for bytes', () => {
    expect(() => synthetic(() => GgmlType.Q3_K, 1, { ...SMALL, feedForward: 700 })).toThrow(
      /GGUF_ROW_NOT_WHOLE/,
    );
    expect(() => synthetic(() => GgmlType.Q3_K, 1, { ...SMALL, vocabulary: 258 })).toThrow(/GGUF_BAD_RANGE/);
  });

  it("has TinyLlama-1.1B's size in its preset: about 475 MiB", () => {
    const bytesOf = (layers: number): number => {
      let size = 0;
      const dimensions = { ...TINY_LLAMA_1B.dimensions, layers, vocabulary: 259 };
      const write = (bytes: Uint8Array): void => {
        size += bytes.length;
      };
      writeSyntheticLlama({ write }, { ...TINY_LLAMA_1B, dimensions, seed: 1 });
      return size;
    };
    // One layer is written and the others are counted; so is what the vocabulary lacks in the two large matrices.
    const [none, one] = [bytesOf(0), bytesOf(1)];
    const rest = (32000 - 259) * (8 * 110 + 8 * 210);
    const mebibytes = (none + TINY_LLAMA_1B.dimensions.layers * (one - none) + rest) / 2 ** 20;
    expect(mebibytes).toBeGreaterThan(474);
    expect(mebibytes).toBeLessThan(477);
  });
});
