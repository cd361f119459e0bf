import { PynqLlmError } from '../../errors/index.js';

/** What a .bit file says about itself, before the configuration data. */
export interface BitHeader {
  /** Name of the design, with Vivado's additions: `design_1_wrapper;UserID=0XFFFFFFFF;Version=2024.1`. */
  readonly design: string;
  /** As the file has it: `7z020clg400`, `xck26-sfvc784-2LV-c`. */
  readonly part: string;
  readonly date: string;
  readonly time: string;
  /** Where the configuration data begins, in bytes. */
  readonly dataOffset: number;
  /** Bytes of configuration data. */
  readonly dataLength: number;
}

/** Field 1 of every .bit: 9 bytes that never change. Field 2 is the number 1. */
const PREAMBLE = Uint8Array.of(0, 9, 0x0f, 0xf0, 0x0f, 0xf0, 0x0f, 0xf0, 0x0f, 0xf0, 0, 0, 1);
/** Longer text has never been seen; a hostile length must not make a megabyte of "design name". */
const MAX_TEXT = 1024;

/** Whether the bytes begin as a .bit file does. */
export function isBitFile(bytes: Uint8Array): boolean {
  return bytes.length >= PREAMBLE.length && PREAMBLE.every((byte, i) => bytes[i] === byte);
}

/**
 * Reads the header of a .bit file: fields a (design), b (part), c (date), d (time) with a 16-bit length each and a NUL at
 * the end, then e with a 32-bit length and the configuration data. Big-endian. The format is not published by the
 * maker; it has been the same since the 1990s.
 * @throws PynqLlmError FIRMWARE_BITSTREAM_INVALID
 */
export function parseBitHeader(bytes: Uint8Array): BitHeader {
  if (!isBitFile(bytes)) throw invalid('it does not begin with the header of a .bit file');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = PREAMBLE.length;

  const text = (key: string): string => {
    if (at + 3 > bytes.length) throw invalid(`it ends before field ${key}`);
    if (bytes[at] !== key.charCodeAt(0)) throw invalid(`field ${key} is missing at byte ${at}`);
    const length = view.getUint16(at + 1);
    const start = at + 3;
    at = start + length;
    if (length === 0 || length > MAX_TEXT || at > bytes.length)
      throw invalid(`field ${key} has a length of ${length} bytes, which cannot be`);
    if (bytes[at - 1] !== 0) throw invalid(`field ${key} does not end with a zero`);
    const value = bytes.subarray(start, at - 1);
    if (!value.every((byte) => byte >= 0x20 && byte < 0x7f)) throw invalid(`field ${key} is not text`);
    return String.fromCharCode(...value);
  };

  const design = text('a');
  const part = text('b');
  const date = text('c');
  const time = text('d');
  if (at + 5 > bytes.length || bytes[at] !== 'e'.charCodeAt(0))
    throw invalid(`field e is missing at byte ${at}`);
  const dataLength = view.getUint32(at + 1);
  const dataOffset = at + 5;
  if (dataOffset + dataLength !== bytes.length)
    throw invalid(
      `its header announces ${dataLength} bytes of data, and ${bytes.length - dataOffset} follow`,
    );
  return { design, part, date, time, dataOffset, dataLength };
}

function invalid(why: string): PynqLlmError {
  return new PynqLlmError('FIRMWARE_BITSTREAM_INVALID', `This is not a whole .bit file: ${why}.`);
}
