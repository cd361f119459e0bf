import { Packr } from 'msgpackr/pack';
import { PynqLlmError } from '../errors/index.js';
import { decodeMessagePack } from './decode.js';
import { MAX_FRAME_BYTES } from './limits.js';

/** msgpackr's `skipValues` is documented in its README and missing from its types. */
interface PackrOptions {
  readonly useRecords: false;
  readonly skipValues: readonly undefined[];
}

/** Plain MessagePack maps: no records extension; fields that are undefined are left out. */
const options: PackrOptions = {
  useRecords: false,
  skipValues: [undefined],
};
const packr = new Packr(options as ConstructorParameters<typeof Packr>[0]);

/** One frame as bytes. @throws PynqLlmError PROTOCOL_FRAME_TOO_LARGE */
export function encodeFrame(frame: object): Uint8Array {
  const bytes = packr.pack(frame);
  requireSize(bytes.length);
  return bytes;
}

/**
 * The value of one frame; binary fields are views of `bytes`.
 * @throws PynqLlmError PROTOCOL_FRAME_TOO_LARGE, or as decodeMessagePack
 */
export function decodeFrame(bytes: Uint8Array): unknown {
  requireSize(bytes.length);
  return decodeMessagePack(bytes);
}

function requireSize(length: number): void {
  if (length > MAX_FRAME_BYTES)
    throw new PynqLlmError(
      'PROTOCOL_FRAME_TOO_LARGE',
      `A frame of ${length} bytes is larger than the limit of ${MAX_FRAME_BYTES}.`,
      { context: { bytes: length, limit: MAX_FRAME_BYTES } },
    );
}
