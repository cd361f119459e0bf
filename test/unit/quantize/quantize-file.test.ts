import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  BLOCK_FORMATS,
  bytesSource,
  GgmlType,
  type GgufEntry,
  openGguf,
  readRawMetadata,
  type TensorToWrite,
  writeGguf,
} from '../../../gguf/index.js';
import {
  ImportanceMatrix,
  mixtureOf,
  planQuantization,
  quantizeFile,
  tensorTypeOf,
} from '../../../quantize/index.js';
import { gaussian } from '../gguf/values.js';

const SHARED = '../shared/models';

type Tensor = readonly [name: string, shape: readonly number[], type?: keyof typeof GgmlType];

/** A small model of two layers, F16 unless said otherwise, with weights of its own for each name. */
function model(
  tensors: readonly Tensor[],
  extra: readonly (readonly [string, GgufEntry])[] = [],
): Uint8Array {
  const metadata = new Map<string, GgufEntry>([
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['general.file_type', { type: 'uint32', value: 1 }],
    ['llama.block_count', { type: 'uint32', value: 2 }],
    ['llama.attention.head_count', { type: 'uint32', value: 8 }],
    ['llama.attention.head_count_kv', { type: 'uint32', value: 2 }],
    ['tokenizer.ggml.tokens', { type: 'array', of: 'string', value: ['a', 'ü', '\ufeff'] }],
    ...extra,
  ]);
  const pieces: Uint8Array[] = [];
  const written = tensors.map(([name, shape, type = 'F16'], i): TensorToWrite => {
    const count = shape.reduce((product, length) => product * length, 1);
    const pattern = gaussian(Math.min(count, 4096), i + 1, 0.02);
    const values = Float32Array.from({ length: count }, (_, k) => pattern[k % pattern.length]);
    const bytes = type === 'F32' ? new Uint8Array(values.buffer) : new Uint8Array(halves(values).buffer);
    return { name, type: GgmlType[type], shape, produce: (emit) => emit(bytes) };
  });
  writeGguf({ write: (bytes) => pieces.push(bytes.slice()) }, metadata, written);
  return Buffer.concat(pieces);
}

/** Cut, not rounded: any halves will do. */
function halves(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, (value) => {
    const bits = new Uint32Array(Float32Array.of(value).buffer)[0];
    const exponent = ((bits >> 23) & 0xff) - 112;
    return exponent <= 0 ? 0 : ((bits >>> 16) & 0x8000) | (exponent << 10) | ((bits >> 13) & 0x3ff);
  });
}

async function quantized(bytes: Uint8Array, type: string, options: Parameters<typeof quantizeFile>[3] = {}) {
  const pieces: Uint8Array[] = [];
  const sink = { write: (piece: Uint8Array) => void pieces.push(piece.slice()) };
  const plan = await quantizeFile(bytesSource(bytes), sink, mixtureOf(type), options);
  const made = Buffer.concat(pieces);
  expect(made.length).toBe(plan.byteLength);
  return { made, file: openGguf(bytesSource(made)), plan };
}

const LAYERS: readonly Tensor[] = [
  ['token_embd.weight', [256, 32]],
  ['output.weight', [256, 32]],
  ['output_norm.weight', [256], 'F32'],
  ['blk.10.attn_v.weight', [256, 64]],
  ['blk.2.attn_v.weight', [256, 64]],
  ['blk.2.attn_norm.weight', [256], 'F32'],
  ['blk.2.ffn_down.weight', [512, 256, 3]],
];

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

/** An importance matrix of one tensor with experts, of which the last was never asked. */
function importance(experts: number): Uint8Array {
  const columns = 512;
  const pieces: Uint8Array[] = [];
  const sums = Float32Array.from({ length: columns * experts }, (_, i) => (i % 7) + 0.5);
  const counts = Float32Array.from({ length: experts }, (_, i) => (i === experts - 1 ? 0 : 10));
  const tensor = (name: string, shape: number[], values: Float32Array): TensorToWrite => ({
    name: `blk.2.ffn_down.weight.${name}`,
    type: GgmlType.F32,
    shape,
    produce: (emit) => emit(new Uint8Array(values.buffer)),
  });
  writeGguf(
    { write: (bytes) => pieces.push(bytes.slice()) },
    new Map<string, GgufEntry>([
      ['general.type', { type: 'string', value: 'imatrix' }],
      ['imatrix.datasets', { type: 'array', of: 'string', value: ['stories.txt'] }],
      ['imatrix.chunk_count', { type: 'uint32', value: 4 }],
      ['imatrix.chunk_size', { type: 'uint32', value: 512 }],
    ]),
    [tensor('in_sum2', [columns, experts], sums), tensor('counts', [1, experts], counts)],
  );
  return Buffer.concat(pieces);
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
