import { createHash } from 'node:crypto';
import { PynqLlmError } from '../../errors/index.js';
import { type BitHeader, isBitFile, parseBitHeader } from './bit-header.js';
import { findSync, readPreamble } from './packets.js';
import { type FpgaPart, findPart, partOfIdcode, type WordOrder } from './parts.js';

/** The largest supported FPGA takes 8 MB; anything far beyond is no bitstream. */
export const MAX_BITSTREAM_BYTES = 64 * 2 ** 20;

/** A bitstream, read and checked as far as it can be without a board. */
export interface Bitstream {
  readonly format: 'bit' | 'bin';
  /** Only a .bit has one. */
  readonly header?: BitHeader;
  /** How the words lie in this file. */
  readonly order: WordOrder;
  /** What the data writes to IDCODE, where it does. */
  readonly idcode?: number;
  /** Configuration data as in the file, without the header. */
  readonly data: Uint8Array;
}

/**
 * Reads a .bit or a .bin: which of the two is told from the bytes, never from the name.
 * @throws PynqLlmError FIRMWARE_BITSTREAM_INVALID, FIRMWARE_BITSTREAM_PARTIAL: only whole FPGAs are programmed
 */
export function readBitstream(bytes: Uint8Array): Bitstream {
  if (bytes.length > MAX_BITSTREAM_BYTES)
    throw invalid(`it has ${bytes.length} bytes, more than any FPGA takes`);
  const header = isBitFile(bytes) ? parseBitHeader(bytes) : undefined;
  const data = header ? bytes.subarray(header.dataOffset) : bytes;
  const sync = findSync(data);
  if (!sync) throw invalid('it has no sync word (AA995566) at its beginning, in either order of bytes');
  if (data.length % 4 !== 0) throw invalid(`its ${data.length} bytes of data are not whole words`);
  const { idcode, isPartial } = readPreamble(data, sync);
  if (header && namesPartial(header.design)) throw partial(`its header says so: ${header.design}`);
  if (isPartial) throw partial('its frames follow without the options of a start-up sequence (COR0)');
  return {
    format: header ? 'bit' : 'bin',
    ...(header && { header }),
    order: sync.order,
    ...(idcode !== undefined && { idcode }),
    data,
  };
}

/**
 * Vivado notes what a bitstream is behind the name of the design: `top;COMPRESS=TRUE;PARTIAL=TRUE;UserID=…`, which is documented
 * nowhere. It names partial bitstreams `…_partial` (UG909, "Partial Bitstreams").
 */
function namesPartial(design: string): boolean {
  const [name = '', ...notes] = design.split(';');
  return /_partial(\.bit)?$/i.test(name) || notes.some((note) => /^PARTIAL=TRUE$/i.test(note.trim()));
}

/** The FPGA that the header or, without one, the IDCODE names; undefined where neither tells. */
export function partOf({ header, idcode }: Bitstream): FpgaPart | undefined {
  if (header) return findPart(header.part);
  return idcode === undefined ? undefined : partOfIdcode(idcode);
}

/**
 * Refuses a bitstream that was not built for this FPGA: by the part in the header and by IDCODE, whichever there are.
 * @throws PynqLlmError FIRMWARE_WRONG_PART, FIRMWARE_PART_UNKNOWN where the file has neither
 */
export function checkPart(bitstream: Bitstream, part: FpgaPart): void {
  const { header, idcode } = bitstream;
  if (header && findPart(header.part) !== part)
    throw wrongPart(`The header says ${header.part}`, part, { part: header.part, board: part.name });
  if (idcode !== undefined && partOfIdcode(idcode) !== part) {
    const hex = `0x${idcode.toString(16).padStart(8, '0')}`;
    const known = partOfIdcode(idcode);
    throw wrongPart(`IDCODE ${hex}${known ? ` is that of a ${known.name}` : ' is unknown'}`, part, {
      idcode: hex,
      board: part.name,
    });
  }
  if (!header && idcode === undefined)
    throw new PynqLlmError(
      'FIRMWARE_PART_UNKNOWN',
      'This .bin names no part: it has no header, and no IDCODE comes before its first frame.',
      { context: { board: part.name } },
    );
}

/** The data in the order that the FPGA manager of this part takes: a .bin of its own. */
export function toFirmware(bitstream: Bitstream, part: FpgaPart): Uint8Array {
  const data = Buffer.from(bitstream.data);
  return bitstream.order === part.firmwareOrder ? data : data.swap32();
}

/** SHA-256 in hex: bitstreams are stored under it. */
export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function wrongPart(says: string, part: FpgaPart, context: { [name: string]: string }): PynqLlmError {
  return new PynqLlmError('FIRMWARE_WRONG_PART', `${says}; the board has a ${part.name}.`, { context });
}

function partial(why: string): PynqLlmError {
  return new PynqLlmError(
    'FIRMWARE_BITSTREAM_PARTIAL',
    `This bitstream is for a part of an FPGA only: ${why}.`,
  );
}

function invalid(why: string): PynqLlmError {
  return new PynqLlmError('FIRMWARE_BITSTREAM_INVALID', `This is not a bitstream: ${why}.`);
}
