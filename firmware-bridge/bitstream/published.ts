import { createHash } from 'node:crypto';
import { type BoardDescription, loadBoardDescription, shippedBoardNames } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';

/** MD5 of a file, as published bitstreams are known by: it tells files apart and protects from nothing. */
export function md5Of(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}

/** The shipped description of a published .bit by its MD5; undefined for builds that were not published. */
export function boardOfBitstream(md5: string): string | undefined {
  return shippedBoardNames().find((name) => loadBoardDescription(name).fpga?.bitstreamMd5 === md5);
}

/**
 * Refuses a published bitstream for a description that is of another one. What is not known passes: a rebuild of the
 * same design has other bytes.
 * @throws PynqLlmError FIRMWARE_WRONG_BOARD
 */
export function checkPublished(md5: string, { name, fpga }: BoardDescription): void {
  const board = boardOfBitstream(md5);
  if (board === undefined || fpga?.bitstreamMd5 === md5) return;
  throw new PynqLlmError(
    'FIRMWARE_WRONG_BOARD',
    `The bitstream is the published one that ${board} describes, not ${name}: its counters, clock or memory differ.`,
    { context: { board: name, published: board } },
  );
}
