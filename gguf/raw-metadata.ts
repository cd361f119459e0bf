import type { ByteSource } from './byte-source.js';
import { HeaderCursor } from './header-cursor.js';
import { readPairs } from './metadata.js';
import { readPreamble } from './reader.js';

/**
 * Metadata as they lie in the file, by key: each pair whole, so that a copy of a file keeps every byte of it.
 * @param source a file that {@link openGguf} has opened
 * @throws PynqLlmError GGUF_*
 */
export function readRawMetadata(source: ByteSource): Map<string, Uint8Array> {
  const cursor = new HeaderCursor(source);
  const { pairCount } = readPreamble(cursor, source);
  const raw = new Map<string, Uint8Array>();
  for (const { key, start, end } of readPairs(cursor, pairCount)) {
    const bytes = new Uint8Array(end - start);
    source.readInto(start, bytes);
    raw.set(key, bytes);
  }
  return raw;
}
