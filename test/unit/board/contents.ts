import type { DmaBuffer } from '../../../board/board.js';

/** What the CPU reads in a range of a buffer; in all of it unless given. */
export function contents(
  buffer: DmaBuffer,
  offset = 0,
  byteLength = buffer.byteLength - offset,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(byteLength);
  buffer.read(offset, bytes);
  return bytes;
}

export function fill(buffer: DmaBuffer, value: number): void {
  buffer.write(0, new Uint8Array(buffer.byteLength).fill(value));
}
