import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BLOCK_FORMATS, bytesSource, openGguf, readRawMetadata } from '../../../gguf/index.js';
import { ImportanceMatrix, mixtureOf, planQuantization, tensorTypeOf } from '../../../quantize/index.js';
import { importance, LAYERS, model, quantized } from './models.js';

const SHARED = '../shared/models';

describe('a quantised file', () => {
  it.skipIf(!existsSync(SHARED)).each(['Q2_K', 'Q3_K_S', 'Q3_K_M', 'Q4_K_M', 'Q6_K'])(
    'of tiny-stories as %s is llama-quantize’s, byte for byte (needs ../shared)',
    async (type) => {
      const { made } = await quantized(readFileSync(`${SHARED}/tiny-stories-f16.gguf`), type);
      expect(made.equals(readFileSync(`${SHARED}/tiny-stories-${type}.gguf`))).toBe(true);
    },
  );

  it('has the tensors layer by layer, those that are no matrices as they were, and the metadata byte for byte', async () => {
    const source = model(LAYERS, [['split.count', { type: 'uint16', value: 0 }]]);
    const { file, made } = await quantized(source, 'Q3_K_M');
    expect([...file.tensors.values()].map(({ name, type }) => [name, BLOCK_FORMATS[type].name])).toEqual([
      ['output.weight', 'Q6_K'],
      ['output_norm.weight', 'F32'],
      ['token_embd.weight', 'Q3_K'],
      ['blk.2.attn_norm.weight', 'F32'],
      ['blk.2.attn_v.weight', 'Q5_K'],
      ['blk.2.ffn_down.weight', 'Q4_K'],
      ['blk.10.attn_v.weight', 'Q5_K'],
    ]);
    const [before, after] = [source, made].map((bytes) => readRawMetadata(bytesSource(bytes)));
    const keys = ['general.quantization_version', 'general.file_type'];
    expect([...after.keys()].slice(-2)).toEqual(keys);
    for (const key of [...keys, 'split.count']) {
      before.delete(key);
      after.delete(key);
    }
    expect(after).toEqual(before);
    expect(file.metadata.get('general.file_type')).toBe(12);
  });

  it('keeps an alignment of its source', async () => {
    const { file } = await quantized(
      model(LAYERS, [['general.alignment', { type: 'uint32', value: 256 }]]),
      'Q3_K_S',
    );
    expect([...file.tensors.values()].map(({ byteOffset }) => byteOffset % 256)).toEqual(LAYERS.map(() => 0));
  });

  it('is the same from F16 as from the same values in F32', async () => {
    const source = model(LAYERS);
    const floats = (await quantized(source, 'F32')).made;
    expect((await quantized(floats, 'Q4_K_M')).made.equals((await quantized(source, 'Q4_K_M')).made)).toBe(
      true,
    );
  });

  it('follows an importance matrix, expert by expert, and says so', async () => {
    const source = model(LAYERS);
    const imatrix = importance(3);
    const importanceOf = ImportanceMatrix.read(bytesSource(imatrix), 'stories.imatrix');
    const { file, made } = await quantized(source, 'Q4_K_M', { importance: importanceOf });
    expect(file.metadata.get('quantize.imatrix.file')).toBe('stories.imatrix');
    expect(file.metadata.get('quantize.imatrix.entries_count')).toBe(1);
    expect(file.metadata.get('quantize.imatrix.chunks_count')).toBe(4);
    const plain = (await quantized(source, 'Q4_K_M')).file;
    const experts = (name: string, of: typeof file) => {
      const tensor = of.tensors.get(name)!;
      const rows = new Uint8Array(tensor.byteLength);
      of.readTensor(tensor, 0, tensor.rows, rows);
      return [0, 1, 2].map((i) => digest(rows.subarray((i * rows.length) / 3, ((i + 1) * rows.length) / 3)));
    };
    // All ones where an expert was never asked: other blocks than without weights all the same.
    for (const [i, expert] of experts('blk.2.ffn_down.weight', file).entries())
      expect(expert).not.toBe(experts('blk.2.ffn_down.weight', plain)[i]);
    expect(made.length).toBeGreaterThan(0);
  });

  it('refuses an importance matrix of another model, a damaged one, and Q2_K_S without one', async () => {
    const source = model(LAYERS);
    const other = ImportanceMatrix.read(bytesSource(importance(2)), 'other');
    await expect(quantized(source, 'Q4_K_M', { importance: other })).rejects.toThrow(
      /QUANTIZE_BAD_IMPORTANCE.*1536/,
    );
    expect(() => ImportanceMatrix.read(bytesSource(source), 'model')).toThrow(/QUANTIZE_BAD_IMPORTANCE/);
    await expect(quantized(source, 'Q2_K_S')).rejects.toThrow(/QUANTIZE_IMPORTANCE.*blk\.2/);
  });

  it('is not made of what is quantised already', async () => {
    const { made } = await quantized(model(LAYERS), 'Q3_K_S');
    await expect(quantized(made, 'Q2_K')).rejects.toThrow(/QUANTIZE_SOURCE.*token_embd\.weight/);
  });

  it('takes types for output, embedding and single tensors', async () => {
    const options = { outputType: tensorTypeOf('q8_0')!, embeddingType: tensorTypeOf('Q5_K')!, pure: true };
    const plan = planQuantization(bytesSource(model(LAYERS)), mixtureOf('Q2_K'), options);
    const types = Object.fromEntries(plan.tensors.map(({ name, to }) => [name, BLOCK_FORMATS[to].name]));
    expect(types).toMatchObject({
      'output.weight': 'Q8_0',
      'token_embd.weight': 'Q5_K',
      'blk.2.ffn_down.weight': 'Q2_K',
    });
  });

  it('names the tensor and the rows with a weight that is no number', async () => {
    const source = model([['blk.0.attn_q.weight', [256, 8192], 'F32']]);
    const { byteOffset, rowBytes } = openGguf(bytesSource(source)).tensors.get('blk.0.attn_q.weight')!;
    source.fill(0xff, byteOffset + 5000 * rowBytes, byteOffset + 5000 * rowBytes + 4);
    await expect(quantized(source, 'Q3_K_S')).rejects.toThrow(
      /QUANTIZE_NOT_FINITE\] Rows from 4096 on of blk\.0\.attn_q\.weight/,
    );
  });

  it('ends when it is told to, between two pieces', async () => {
    const ending = new AbortController();
    const work = quantized(model([['blk.0.attn_q.weight', [256, 4200]]]), 'Q4_K_S', {
      signal: ending.signal,
      onProgress: () => ending.abort(),
    });
    await expect(work).rejects.toThrow(/abort/i);
  });
});

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
