import type { WordOrder } from './parts.js';

/** Ends the dummy words before the first configuration packet (UG470, "Sync Word"; UG570 has the same). */
const SYNC_WORD = 0xaa99_5566;
/** Vivado writes 16 to 48 dummy words and the bus-width pattern first; the sync word comes within the first few hundred bytes. */
const SYNC_SEARCH_BYTES = 4096;
/** IDCODE is written before the first frame, within the first few dozen packets. */
const MAX_PACKETS = 1024;

const TYPE_1 = 0b001;
const OPCODE_WRITE = 0b10;
/** Register numbers of configuration packets: UG470, table 5-23; UG570 has the same. */
const REGISTER = { FAR: 0b00001, FDRI: 0b00010, MFWR: 0b01010, COR0: 0b01001, IDCODE: 0b01100 } as const;

/** Where configuration begins and how its words lie. */
export interface Synchronisation {
  readonly order: WordOrder;
  /** Offset of the sync word in bytes; configuration packets follow it. */
  readonly offset: number;
}

/** Looks for the sync word in both orders, on word boundaries. @returns undefined if it is not there */
export function findSync(data: Uint8Array): Synchronisation | undefined {
  const view = viewOf(data);
  const end = Math.min(data.length - 3, SYNC_SEARCH_BYTES);
  for (let offset = 0; offset < end; offset += 4) {
    if (view.getUint32(offset) === SYNC_WORD) return { order: 'bit', offset };
    if (view.getUint32(offset, true) === SYNC_WORD) return { order: 'swapped', offset };
  }
  return undefined;
}

/** What configuration data says before its first frame. */
export interface Preamble {
  /**
   * What it writes to IDCODE: the device compares that with its own and refuses another's data. Undefined where no
   * such packet comes before the first frame, as in encrypted data.
   */
  readonly idcode?: number;
  /**
   * Frames follow, at an address, and COR0 was not written. It has the options of the start-up sequence, which brings
   * the device into user mode; data for a whole device set it before the frames (UG470 and UG570, "Bitstream
   * Composition"), and partial data have a shorter header and no start-up (UG909, "Downloading a Partial BIT File").
   * False also where it cannot be told, as in encrypted data.
   */
  readonly isPartial: boolean;
}

/** Reads the packets up to the first frame. */
export function readPreamble(data: Uint8Array, { order, offset }: Synchronisation): Preamble {
  const view = viewOf(data);
  const littleEndian = order === 'swapped';
  const written = new Map<number, number>();
  const isPartial = () => written.has(REGISTER.FAR) && !written.has(REGISTER.COR0);
  const preamble = (hasFrames: boolean): Preamble => {
    const idcode = written.get(REGISTER.IDCODE);
    return { ...(idcode !== undefined && { idcode }), isPartial: hasFrames && isPartial() };
  };
  let at = offset + 4;
  for (let packet = 0; packet < MAX_PACKETS && at + 4 <= data.length; packet++) {
    const header = view.getUint32(at, littleEndian);
    if (header >>> 29 !== TYPE_1) break;
    const isWrite = ((header >>> 27) & 0b11) === OPCODE_WRITE;
    const register = (header >>> 13) & 0b1_1111;
    const words = header & 0x7ff;
    if (isWrite && (register === REGISTER.FDRI || register === REGISTER.MFWR)) return preamble(true);
    if (isWrite && words === 1 && at + 8 <= data.length && !written.has(register))
      written.set(register, view.getUint32(at + 4, littleEndian));
    at += 4 + 4 * words;
  }
  return preamble(false);
}

function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
