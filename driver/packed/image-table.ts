import { createHash } from 'node:crypto';
import { CHECKSUM_BYTES } from './tile-memory.js';

/** Where the packed weights of one tensor lie, and what they are. */
export interface ImageEntry {
  /** Offset in a file, or physical address. */
  readonly at: number;
  readonly bytes: number;
  /** Of its packed tiles, one after the other (assembly/weights.ts). */
  readonly checksum: Uint8Array;
}

/** What a table is of: a file with another is foreign. */
export interface TableKind {
  /** Eight letters. */
  readonly magic: string;
  /** 32 bytes: what model, and how its tensors are cut. */
  readonly key: Uint8Array;
  /** Tensors of the model; not each of them need be there. */
  readonly count: number;
}

const MAGIC_BYTES = 8;
const KEY_BYTES = 32;
const DIGEST_BYTES = 32;
const DIGEST_AT = MAGIC_BYTES + KEY_BYTES + 8;
const ENTRIES_AT = DIGEST_AT + DIGEST_BYTES;
const ENTRY_BYTES = 16 + CHECKSUM_BYTES;

/** Bytes of a table. */
export function tableBytes(count: number): number {
  return ENTRIES_AT + count * ENTRY_BYTES;
}

/** A table as it lies in a file or in memory, with a SHA-256 of all of it; little-endian. */
export function encodeTable(
  { magic, key, count }: TableKind,
  entries: readonly (ImageEntry | undefined)[],
): Uint8Array {
  const bytes = new Uint8Array(tableBytes(count));
  const view = new DataView(bytes.buffer);
  bytes.set(Buffer.from(magic, 'latin1'));
  bytes.set(key, MAGIC_BYTES);
  view.setUint32(MAGIC_BYTES + KEY_BYTES, count, true);
  entries.forEach((entry, i) => {
    if (entry === undefined) return;
    const from = ENTRIES_AT + i * ENTRY_BYTES;
    view.setFloat64(from, entry.at, true);
    view.setFloat64(from + 8, entry.bytes, true);
    bytes.set(entry.checksum, from + 16);
  });
  bytes.set(digestOf(bytes), DIGEST_AT);
  return bytes;
}

/** The entries of a table, or what is wrong with it. @param bytes whatever lies where the table should be */
export function decodeTable(
  bytes: Uint8Array,
  { magic, key, count }: TableKind,
): readonly (ImageEntry | undefined)[] | string {
  if (bytes.length < tableBytes(count)) return 'it is too short';
  const table = bytes.subarray(0, tableBytes(count));
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  if (Buffer.from(table.subarray(0, MAGIC_BYTES)).toString('latin1') !== magic) return 'it has none';
  if (Buffer.compare(table.subarray(MAGIC_BYTES, MAGIC_BYTES + KEY_BYTES), key) !== 0)
    return 'it is of another model or layout';
  if (view.getUint32(MAGIC_BYTES + KEY_BYTES, true) !== count) return 'it has another number of tensors';
  const digest = table.slice(DIGEST_AT, DIGEST_AT + DIGEST_BYTES);
  if (Buffer.compare(digestOf(table), digest) !== 0) return 'its table is damaged';
  return Array.from({ length: count }, (_, i) => {
    const from = ENTRIES_AT + i * ENTRY_BYTES;
    const size = view.getFloat64(from + 8, true);
    if (size === 0) return undefined;
    return {
      at: view.getFloat64(from, true),
      bytes: size,
      checksum: table.slice(from + 16, from + ENTRY_BYTES),
    };
  });
}

/** Of everything but the digest itself. */
function digestOf(table: Uint8Array): Uint8Array {
  return createHash('sha256')
    .update(table.subarray(0, DIGEST_AT))
    .update(table.subarray(ENTRIES_AT))
    .digest();
}
