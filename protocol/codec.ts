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

/** Memory that small frames are packed into, one after the other. */
const SMALL_BYTES = 8_192;

/**
 * One frame as bytes.
 * @param scratch memory for a large frame, which would otherwise get memory of its own four times its size; it may be
 *   used again once the frame was sent
 * @throws PynqLlmError PROTOCOL_FRAME_TOO_LARGE
 */
export function encodeFrame(frame: object, scratch?: Uint8Array): Uint8Array {
  if (scratch !== undefined) packr.useBuffer(scratch);
  try {
    const bytes = packr.pack(frame);
    requireSize(bytes.length);
    return bytes;
  } finally {
    if (scratch !== undefined) packr.useBuffer(Buffer.allocUnsafe(SMALL_BYTES));
  }
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
