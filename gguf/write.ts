import { PynqLlmError } from '../errors/index.js';
import type { ByteSink } from './byte-sink.js';
import { HeaderBuilder } from './header-builder.js';
import { GgufValueType } from './metadata.js';
import { alignUp, DEFAULT_ALIGNMENT, GGUF_MAGIC } from './reader.js';
import { type GgmlType, rowBytes } from './types.js';

type ScalarType = Exclude<keyof typeof GgufValueType, 'array'>;

/** A metadata value with its type in the file: the type cannot be guessed from a number. */
export type GgufEntry =
  | { readonly type: ScalarType; readonly value: GgufScalar }
  /** The pair as another file has it, key included (readRawMetadata). */
  | { readonly type: 'raw'; readonly value: Uint8Array }
  | {
      readonly type: 'array';
      readonly of: ScalarType;
      readonly value: Iterable<GgufScalar> & { readonly length: number };
    };

export type GgufScalar = number | bigint | boolean | string;

/** What the header says of a tensor. */
export interface TensorHeader {
  readonly name: string;
  readonly type: GgmlType;
  /** In the file's order: the length of a row first. */
  readonly shape: readonly number[];
}

/** A tensor whose size is known and whose data are produced while writing. */
export interface TensorToWrite extends TensorHeader {
  /** Gives the tensor's bytes in order, in pieces of any size, to `emit`. */
  produce(emit: (bytes: Uint8Array) => void): void;
}

/**
 * Writes a GGUF file, version 3, little-endian. Only the header is held in memory; data are passed on as they come.
 * `general.alignment`, if among the metadata, is followed.
 * @throws PynqLlmError GGUF_WRITE_MISMATCH, GGUF_ROW_NOT_WHOLE_BLOCKS, and what the sink throws
 */
export function writeGguf(
  sink: ByteSink,
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: readonly TensorToWrite[],
): void {
  const alignment = Number(metadata.get('general.alignment')?.value ?? DEFAULT_ALIGNMENT);
  sink.write(ggufHeader(metadata, tensors, alignment));
  for (const tensor of tensors) writeData(sink, tensor, alignment);
}

/** The bytes of a file before its tensors' data, which follow one another, each padded to a multiple of `alignment`. */
export function ggufHeader(
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: readonly TensorHeader[],
  alignment: number,
  version: 2 | 3 = 3,
): Uint8Array {
  const header = new HeaderBuilder();
  header.u32(GGUF_MAGIC);
  header.u32(version);
  header.u64(tensors.length);
  header.u64(metadata.size);
  for (const [key, entry] of metadata) writeEntry(header, key, entry);
  let offset = 0;
  for (const tensor of tensors) {
    header.string(tensor.name);
    header.u32(tensor.shape.length);
    for (const length of tensor.shape) header.u64(length);
    header.u32(tensor.type);
    header.u64(offset);
    offset += alignUp(byteLengthOf(tensor), alignment);
  }
  return header.finish(alignment);
}

/** Bytes of a tensor's data, without padding. */
function byteLengthOf(tensor: TensorHeader): number {
  return tensor.shape
    .slice(1)
    .reduce((bytes, length) => bytes * length, rowBytes(tensor.type, tensor.shape[0]));
}

function writeData(sink: ByteSink, tensor: TensorToWrite, alignment: number): void {
  const expected = byteLengthOf(tensor);
  let written = 0;
  tensor.produce((bytes) => {
    written += bytes.length;
    sink.write(bytes);
  });
  if (written !== expected) {
    throw new PynqLlmError(
      'GGUF_WRITE_MISMATCH',
      `The tensor ${tensor.name} has ${expected} bytes, but ${written} were produced.`,
      {
        context: { tensor: tensor.name, expected, written },
      },
    );
  }
  sink.write(new Uint8Array(alignUp(expected, alignment) - expected));
}

function writeEntry(header: HeaderBuilder, key: string, entry: GgufEntry): void {
  if (entry.type === 'raw') {
    header.raw(entry.value);
    return;
  }
  header.string(key);
  header.u32(GgufValueType[entry.type]);
  if (entry.type !== 'array') {
    writeScalar(header, key, entry.type, entry.value);
    return;
  }
  header.u32(GgufValueType[entry.of]);
  header.u64(entry.value.length);
  for (const value of entry.value) writeScalar(header, key, entry.of, value);
}

function writeScalar(header: HeaderBuilder, key: string, type: ScalarType, value: GgufScalar): void {
  const expected = type === 'string' ? 'string' : type === 'bool' ? 'boolean' : 'number';
  const actual = typeof value === 'bigint' && type.endsWith('int64') ? 'number' : typeof value;
  if (actual !== expected) {
    throw new PynqLlmError(
      'GGUF_WRITE_MISMATCH',
      `${key} is declared as ${type}, but a ${typeof value} was given.`,
      {
        context: { key, type },
      },
    );
  }
  WRITERS[type](header, value);
}

/** Two's complement makes signed and unsigned writes the same. */
const WRITERS: Readonly<Record<ScalarType, (header: HeaderBuilder, value: GgufScalar) => void>> = {
  uint8: (header, value) => header.u8(Number(value)),
  int8: (header, value) => header.u8(Number(value)),
  uint16: (header, value) => header.u16(Number(value)),
  int16: (header, value) => header.u16(Number(value)),
  uint32: (header, value) => header.u32(Number(value)),
  int32: (header, value) => header.u32(Number(value)),
  float32: (header, value) => header.f32(Number(value)),
  bool: (header, value) => header.u8(value ? 1 : 0),
  string: (header, value) => header.string(String(value)),
  uint64: (header, value) => header.u64(BigInt(value)),
  int64: (header, value) => header.u64(BigInt(value)),
  float64: (header, value) => header.f64(Number(value)),
};
