import { createHash, type Hash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { PynqLlmError } from '../../errors/index.js';
import { CHUNK_BYTES, type UploadRange } from '../../protocol/index.js';
import type { Upload } from './upload.js';

/**
 * Takes a range of an upload, of whole chunks, as it comes, and writes each chunk once it is whole and has its digest. Each byte is hashed
 * as it comes, so that no chunk holds up the event loop; those of chunks that are there already are not.
 * @param body is read to the end of the range, or to the error; it is not destroyed here
 * @throws PynqLlmError AGENT_UPLOAD_RANGE, AGENT_UPLOAD_MISMATCH, AGENT_STORE_FULL, AGENT_STORE_FAILED; what ends the body
 */
export async function receiveChunks(upload: Upload, range: UploadRange, body: Readable): Promise<void> {
  let index = range.offset / CHUNK_BYTES;
  const end = index + Math.ceil(range.byteLength / CHUNK_BYTES);
  // A chunk is written when it is known to be right: others may have sent it already, and rely on it.
  const memory = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, range.byteLength));
  let filled = 0;
  let hash: Hash | undefined;
  const pieces: AsyncIterable<Buffer> = body.iterator({ destroyOnReturn: false });
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      if (index === end) throw wrongRange('More bytes came than the range has.');
      const length = upload.chunkLength(index);
      const part = piece.subarray(at, at + length - filled);
      if (filled === 0) hash = upload.have[index] ? undefined : createHash('sha256');
      if (hash !== undefined) memory.set(part, filled);
      hash?.update(part);
      filled += part.length;
      at += part.length;
      if (filled < length) continue;
      if (hash !== undefined) await upload.writeChunk(index, memory.subarray(0, length), hash.digest());
      index++;
      filled = 0;
    }
  }
  if (index < end) throw wrongRange('The body ended before its range did.');
}

/** @throws PynqLlmError AGENT_UPLOAD_RANGE unless these are whole chunks of the upload */
export function requireChunks({ plan }: Upload, { offset, byteLength, modelBytes }: UploadRange): void {
  const end = offset + byteLength;
  const isWhole = offset % CHUNK_BYTES === 0 && (end % CHUNK_BYTES === 0 || end === modelBytes);
  if (!isWhole || modelBytes !== plan.byteLength)
    throw wrongRange(
      `Bytes ${offset} to ${end - 1} of ${modelBytes} are no whole chunks of the ${plan.byteLength} that were announced.`,
    );
}

function wrongRange(what: string): PynqLlmError {
  return new PynqLlmError('AGENT_UPLOAD_RANGE', what);
}
