import { expect } from 'vitest';
import {
  bytesSource,
  GgmlType,
  type GgufEntry,
  openGguf,
  type TensorToWrite,
  writeGguf,
} from '../../../gguf/index.js';
import { mixtureOf, quantizeFile } from '../../../quantize/index.js';
import { gaussian } from '../gguf/values.js';

export type Tensor = readonly [name: string, shape: readonly number[], type?: keyof typeof GgmlType];

/** A small model of two layers, F16 unless said otherwise, with weights of its own for each name. */
export function model(
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

export async function quantized(
  bytes: Uint8Array,
  type: string,
  options: Parameters<typeof quantizeFile>[3] = {},
) {
  const pieces: Uint8Array[] = [];
  const sink = { write: (piece: Uint8Array) => void pieces.push(piece.slice()) };
  const plan = await quantizeFile(bytesSource(bytes), sink, mixtureOf(type), options);
  const made = Buffer.concat(pieces);
  expect(made.length).toBe(plan.byteLength);
  return { made, file: openGguf(bytesSource(made)), plan };
}

export const LAYERS: readonly Tensor[] = [
  ['token_embd.weight', [256, 32]],
  ['output.weight', [256, 32]],
  ['output_norm.weight', [256], 'F32'],
  ['blk.10.attn_v.weight', [256, 64]],
  ['blk.2.attn_v.weight', [256, 64]],
  ['blk.2.attn_norm.weight', [256], 'F32'],
  ['blk.2.ffn_down.weight', [512, 256, 3]],
];

/** Sums of squares and counts of one tensor with experts, of which the last was never asked. */
export function importance(
  experts: number,
  change: { readonly sums?: (sum: number) => number; readonly counts?: readonly number[] } = {},
): Uint8Array {
  const columns = 512;
  const pieces: Uint8Array[] = [];
  const { sums: changed = (sum: number) => sum } = change;
  const sums = Float32Array.from({ length: columns * experts }, (_, i) => changed((i % 7) + 0.5));
  const counts = Float32Array.from(
    change.counts ?? Array.from({ length: experts }, (_, i) => (i === experts - 1 ? 0 : 10)),
  );
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
    [tensor('in_sum2', [columns, experts], sums), tensor('counts', [1, counts.length], counts)],
  );
  return Buffer.concat(pieces);
}
