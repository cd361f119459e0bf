import type { ByteSource } from './byte-source.js';
import { HeaderCursor } from './header-cursor.js';
import { readMetadata, readMetadataCount } from './metadata.js';
import { readTensorCount } from './tensors.js';

/**
 * Metadata as they lie in the file, type and value of each key, so that a copy of a file keeps every byte of them.
 * @param source a file that {@link openGguf} has opened
 * @throws PynqLlmError GGUF_*
 */
export function readRawMetadata(source: ByteSource): Map<string, Uint8Array> {
  const cursor = new HeaderCursor(source);
  cursor.u32('magic number');
  cursor.u32('version');
  readTensorCount(cursor);
  const count = readMetadataCount(cursor);
  const raw = new Map<string, Uint8Array>();
  for (let i = 0; i < count; i++) {
    const start = cursor.position;
    const [key] = readMetadata(cursor, 1).keys();
    const bytes = new Uint8Array(cursor.position - start);
    source.readInto(start, bytes);
    // Behind the key, which is its length and its bytes.
    const keyBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    raw.set(key, bytes.subarray(8 + keyBytes));
  }
  return raw;
}
