import { sha256 } from './sha256.js';

/** Uploads are cut, verified and resumed in chunks of this many bytes; the last one is shorter. */
export const CHUNK_BYTES = 1024 * 1024;

export const DIGEST_BYTES = 32;

export function chunkCount(byteLength: number): number {
  return Math.ceil(byteLength / CHUNK_BYTES);
}

/**
 * The digest that names a model: SHA-256 over its length and the digests of its chunks. Every byte is hashed once
 * on each side, and whoever has verified every chunk against this digest has verified the whole.
 *
 * @param byteLength bytes of the model
 * @param chunkDigests SHA-256 of each chunk, 32 bytes each, in order
 * @returns 64 lower-case hexadecimal digits
 */
export function modelDigest(byteLength: number, chunkDigests: Uint8Array): string {
  const header = `pynq-llm model 1 ${byteLength} ${CHUNK_BYTES}\n`;
  return Array.from(sha256(header, chunkDigests), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
