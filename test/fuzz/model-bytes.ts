import {
  bytesSource,
  GgmlType,
  type GgufEntry,
  type GgufFile,
  ggufHeader,
  readRawMetadata,
  rowBytes,
} from '../../gguf/index.js';
import { readGguf } from '../../gguf/reader.js';

/** What of a model file is to be another: undefined takes it away. */
export interface ModelChanges {
  readonly metadata?: Readonly<Record<string, GgufEntry | undefined>>;
  readonly tensors?: Readonly<Record<string, TensorChange | undefined>>;
  /** The file ends so many bytes before its end. */
  readonly missingBytes?: number;
}

export interface TensorChange {
  readonly name?: string;
  readonly type?: GgmlType;
  readonly shape?: readonly number[];
  /** Of F32 tensors: every value. */
  readonly value?: number;
}

const ALIGNMENT = 32;
/** A tensor that is made larger than that has no data: no file of such a size is sent to anybody who tests. */
const MOST_BYTES = 1 << 22;

/** A file like `source`, but for some changes, with true offsets; rows have their stored lengths. */
export function changedModel(source: Uint8Array, changes: ModelChanges): Uint8Array {
  const gguf = readGguf(bytesSource(source));
  const metadata = new Map<string, GgufEntry>();
  for (const [key, value] of readRawMetadata(gguf.source)) metadata.set(key, { type: 'raw', value });
  for (const [key, entry] of Object.entries(changes.metadata ?? {})) {
    if (entry === undefined) metadata.delete(key);
    else metadata.set(key, entry);
  }
  const headers: { name: string; type: GgmlType; shape: readonly number[] }[] = [];
  const data: Uint8Array[] = [];
  for (const { name, type, shape } of gguf.tensors.values()) {
    const isChanged = Object.hasOwn(changes.tensors ?? {}, name);
    const change = changes.tensors?.[name];
    if (isChanged && change === undefined) continue;
    const header = { name, type, shape, ...pick(change) };
    headers.push(header);
    data.push(padded(dataOf(gguf, name, header, change?.value)));
  }
  const bytes = Buffer.concat([headerOf(metadata, headers), ...data]);
  return bytes.subarray(0, bytes.length - (changes.missingBytes ?? 0));
}

function pick({ name, type, shape }: TensorChange = {}) {
  return { ...(name && { name }), ...(type !== undefined && { type }), ...(shape && { shape }) };
}

/** A type whose blocks do not divide a row is written all the same: the reader has to see it. */
function headerOf(
  metadata: ReadonlyMap<string, GgufEntry>,
  headers: readonly { name: string; type: GgmlType; shape: readonly number[] }[],
): Uint8Array {
  const offsets = headers.map(({ type, shape }) => (canHold(type, shape[0]) ? type : GgmlType.F32));
  const header = ggufHeader(
    metadata,
    headers.map((one, i) => ({ ...one, type: offsets[i] })),
    ALIGNMENT,
  );
  // The types as they are meant: a word before the offset of each tensor.
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  let at = tensorsStart(header, headers);
  for (const { name, type, shape } of headers) {
    at += 8 + Buffer.byteLength(name) + 4 + 8 * shape.length;
    view.setUint32(at, type, true);
    at += 12;
  }
  return header;
}

function tensorsStart(header: Uint8Array, headers: readonly { name: string; shape: readonly number[] }[]) {
  const bytes = headers.reduce(
    (sum, { name, shape }) => sum + 8 + Buffer.byteLength(name) + 4 + 8 * shape.length + 12,
    0,
  );
  // The list ends the header, which is padded: where the first name stands is looked for from there.
  const first = Buffer.from(headers[0]?.name ?? '');
  for (let padding = 0; padding < ALIGNMENT; padding++) {
    const start = header.length - padding - bytes;
    if (Buffer.from(header.subarray(start + 8, start + 8 + first.length)).equals(first)) return start;
  }
  return header.length;
}

function canHold(type: GgmlType, columns: number): boolean {
  try {
    return rowBytes(type, columns) > 0;
  } catch {
    return false;
  }
}

/** The data as they were, as often as they are needed. */
function dataOf(
  gguf: GgufFile,
  name: string,
  { type, shape }: { readonly type: GgmlType; readonly shape: readonly number[] },
  value: number | undefined,
): Uint8Array {
  const tensor = gguf.tensors.get(name)!;
  const old = new Uint8Array(tensor.byteLength);
  gguf.readTensor(tensor, 0, tensor.rows, old);
  if (value === undefined && type === tensor.type && shape === tensor.shape) return old;
  const rows = shape.slice(1).reduce((product, length) => product * length, 1);
  const size = canHold(type, shape[0]) ? rows * rowBytes(type, shape[0]) : 4 * rows * shape[0];
  if (!(size <= MOST_BYTES)) return new Uint8Array(0);
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += old.length) bytes.set(old.subarray(0, size - at), at);
  if (value !== undefined) new Float32Array(bytes.buffer, 0, Math.floor(size / 4)).fill(value);
  return bytes;
}

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT);
  whole.set(bytes);
  return whole;
}
