import { existsSync, readdirSync } from 'node:fs';
import { HeaderBuilder } from '../../../gguf/header-builder.js';
import {
  type ByteSource,
  bytesSource,
  GgmlType,
  type GgufEntry,
  type GgufFile,
  openGguf,
  type TensorToWrite,
  writeGguf,
} from '../../../gguf/index.js';

/** A file in memory, as writeGguf makes it. */
export function fileOf(
  metadata: Readonly<Record<string, GgufEntry>>,
  tensors: readonly TensorToWrite[],
): Uint8Array {
  const pieces: Uint8Array[] = [];
  writeGguf({ write: (bytes) => pieces.push(bytes.slice()) }, new Map(Object.entries(metadata)), tensors);
  return Buffer.concat(pieces);
}

/** A tensor whose bytes count up from 0. */
export function countingTensor(
  name: string,
  type: GgmlType,
  shape: readonly number[],
  byteLength: number,
): TensorToWrite {
  const bytes = Uint8Array.from({ length: byteLength }, (_, i) => i);
  return { name, type, shape, produce: (emit) => emit(bytes) };
}

/** A small valid file with metadata of several types and two tensors. */
export function sampleFile(): Uint8Array {
  return fileOf(
    {
      'general.architecture': { type: 'string', value: 'llama' },
      'llama.block_count': { type: 'uint32', value: 2 },
      'llama.rope.freq_base': { type: 'float32', value: 10000 },
      'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: ['<unk>', 'a', '\ufeff', 'é'] },
      'tokenizer.ggml.scores': { type: 'array', of: 'float32', value: [0, -1, -2, -3] },
      'tokenizer.ggml.add_bos_token': { type: 'bool', value: true },
    },
    [
      countingTensor('token_embd.weight', GgmlType.Q2_K, [256, 2], 168),
      countingTensor('output_norm.weight', GgmlType.F32, [8], 32),
    ],
  );
}

/** What a header under test declares; by default one F32 tensor of 8 values and no metadata. */
export interface RawHeader {
  readonly version?: number;
  readonly tensorCount?: number | bigint;
  readonly pairCount?: number | bigint;
  readonly pairs?: (header: HeaderBuilder) => void;
  readonly tensors?: (header: HeaderBuilder) => void;
  /** Data bytes after the padded header. */
  readonly data?: number;
}

/** A file written word by word, so that any of them can be wrong. */
export function rawFile(raw: RawHeader): Uint8Array {
  const header = new HeaderBuilder();
  header.u32(0x46554747);
  header.u32(raw.version ?? 3);
  header.u64(raw.tensorCount ?? 1);
  header.u64(raw.pairCount ?? (raw.pairs ? 1 : 0));
  raw.pairs?.(header);
  (raw.tensors ?? ((builder) => rawTensor(builder, {})))(header);
  return Buffer.concat([header.finish(32), new Uint8Array(raw.data ?? 32)]);
}

export function rawTensor(
  header: HeaderBuilder,
  tensor: { name?: string; shape?: readonly (number | bigint)[]; type?: number; offset?: number | bigint },
): void {
  const shape = tensor.shape ?? [8];
  header.string(tensor.name ?? 'norm.weight');
  header.u32(shape.length);
  for (const length of shape) header.u64(length);
  header.u32(tensor.type ?? GgmlType.F32);
  header.u64(tensor.offset ?? 0);
}

export function open(bytes: Uint8Array): GgufFile {
  return openGguf(bytesSource(bytes));
}

/** A source that counts what is read from it. */
export function counted(source: ByteSource): ByteSource & { bytesRead: number; reads: number } {
  return {
    size: source.size,
    bytesRead: 0,
    reads: 0,
    readInto(offset, into) {
      this.bytesRead += into.length;
      this.reads++;
      source.readInto(offset, into);
    },
  };
}

/** Paths of a folder's GGUF files; none where the folder is absent. */
export function ggufFilesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.gguf'))
    .map((name) => `${folder}/${name}`);
}
