import { describe, expect, it } from 'vitest';
import {
  bytesSource,
  dequantizeRow,
  GgmlType,
  type GgufEntry,
  type GgufFile,
  openGguf,
  PADDED_ROWS_KEYS,
} from '../../../gguf/index.js';
import { loadModel } from '../../../llm/model/load-model.js';
import { measureMatrices } from '../../../quantize/index.js';
import { RowQuantizer } from '../../../quantize/kernel.js';
import { attackModel } from '../../fuzz/attack-model.js';
import { changedModel } from '../../fuzz/model-bytes.js';
import { logitsOf } from '../llm/models.js';
import { quantized } from './models.js';
import { bytesOf, FAMILY_FILES, isOnCoreWhenPadded, logits, SHORT, TOKENS } from './padded-families.js';

function rowOf(file: GgufFile, name: string, row: number): Uint8Array {
  const tensor = file.tensors.get(name)!;
  const bytes = new Uint8Array(tensor.rowBytes);
  file.readTensor(tensor, row, 1, bytes);
  return bytes;
}

describe('a file with padded rows', () => {
  it('says the lengths that are the model’s, and has blocks of rows with zeros behind', async () => {
    const source = bytesOf('qwen2-f16.gguf');
    const { file } = await quantized(source, 'Q4_K_M', { pad: true });
    const { shape, columns, rowBytes, type } = file.tensors.get('blk.0.ffn_up.weight')!;
    expect({ columns, rowBytes, type }).toEqual({ columns: 48, rowBytes: 144, type: GgmlType.Q4_K });
    expect(shape).toEqual(openGguf(bytesSource(source)).tensors.get('blk.0.ffn_up.weight')!.shape);
    expect(file.metadata.get(PADDED_ROWS_KEYS.tensors)).toContain('blk.0.ffn_up.weight');
    const before = new Float32Array(256);
    const row = rowOf(openGguf(bytesSource(source)), 'blk.0.ffn_up.weight', 5);
    dequantizeRow(GgmlType.F16, row, 48, before);
    const made = new RowQuantizer().quantize(GgmlType.F32, new Uint8Array(before.buffer), 256, GgmlType.Q4_K);
    expect(rowOf(file, 'blk.0.ffn_up.weight', 5)).toEqual(made.slice());
  });

  // The other families: test/long.
  it.each(FAMILY_FILES.filter((name) => SHORT.test(name)))(
    'of %s is all on the core but routers, and has the same bits on the CPU',
    isOnCoreWhenPadded,
  );

  it('computes the same with floats for activations whatever the padding', async () => {
    const { file } = await quantized(bytesOf('gpt2-f16.gguf'), 'Q6_K', { pad: true });
    const model = loadModel(file, { floatActivations: true });
    const rounded = logits(file, false);
    for (const [i, value] of logitsOf(model, TOKENS).at(-1)!.entries())
      expect(value).toBeCloseTo(rounded[i], 0);
    model.close();
  });

  it('has a place in a budget', async () => {
    const source = bytesSource(bytesOf('qwen2-f16.gguf'));
    expect(await measureMatrices(source, undefined)).toEqual([]);
    const [first] = await measureMatrices(source, undefined, { pad: true });
    expect(first.candidates.map(({ error }) => error)).toEqual(
      first.candidates.map(({ error }) => error).toSorted((a, b) => b - a),
    );
    expect(first.candidates[0].error).toBeLessThan(0.2);
  });

  it('is an ordinary one where no type has super-blocks', async () => {
    const { file } = await quantized(bytesOf('qwen2-f16.gguf'), 'Q8_0', { pad: true });
    expect(file.metadata.has(PADDED_ROWS_KEYS.tensors)).toBe(false);
  });
});

describe('what a file says of padded rows', () => {
  const names = (value: readonly string[]): GgufEntry => ({ type: 'array', of: 'string', value });
  const columns = (value: readonly number[]): GgufEntry => ({ type: 'array', of: 'uint32', value });
  const NAME = 'blk.0.ffn_up.weight';

  it.each<readonly [string, GgufEntry | undefined, GgufEntry | undefined]>([
    ['no columns', names([NAME]), undefined],
    ['no names', undefined, columns([48])],
    ['more names than columns', names([NAME, 'output.weight']), columns([48])],
    ['a text', { type: 'string', value: NAME }, columns([48])],
    ['other numbers', names([NAME]), { type: 'array', of: 'float32', value: [48] }],
    ['names that are numbers', columns([1]), columns([48])],
    ['a tensor that is not there', names(['blk.9.ffn_up.weight']), columns([48])],
    ['a tensor twice', names([NAME, NAME]), columns([48, 40])],
    ['no columns at all', names([NAME]), columns([0])],
    ['as many columns as are stored', names([NAME]), columns([256])],
    ['more columns than are stored', names([NAME]), columns([257])],
    ['2^32 - 1 columns', names([NAME]), columns([0xffff_ffff])],
    ['a vector', names(['output_norm.weight']), columns([40])],
  ])('with %s is refused', async (_, tensors, lengths) => {
    const { made } = await quantized(bytesOf('qwen2-f16.gguf'), 'Q4_K_M', { pad: true });
    const metadata = { [PADDED_ROWS_KEYS.tensors]: tensors, [PADDED_ROWS_KEYS.columns]: lengths };
    expect(attackModel(changedModel(made, { metadata }))).toBe('GGUF_PADDED_ROWS');
  });

  it('with other columns than the graph has is refused', async () => {
    const { made } = await quantized(bytesOf('qwen2-f16.gguf'), 'Q4_K_M', { pad: true });
    const file = openGguf(bytesSource(made));
    const all = file.metadata.get(PADDED_ROWS_KEYS.tensors) as string[];
    const metadata = { [PADDED_ROWS_KEYS.columns]: columns(all.map(() => 47)) };
    expect(attackModel(changedModel(made, { metadata }))).toBe('LLM_TENSOR_SHAPE');
  });
});
