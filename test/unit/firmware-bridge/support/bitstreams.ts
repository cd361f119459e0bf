/** Big-endian 32-bit words as bytes. */
function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => {
    bytes.writeUInt32BE(value >>> 0, 4 * i);
  });
  return bytes;
}

/** Before the first packet: dummy words, bus width pattern, sync word. */
const BEGINNING = [
  ...Array.from({ length: 8 }, () => 0xffff_ffff),
  0xbb,
  0x1122_0044,
  0xffff_ffff,
  0xffff_ffff,
  0xaa99_5566,
];
const NO_OPERATION = 0x2000_0000;
const RESET_CRC = [0x3000_8001, 7, NO_OPERATION];
const OPTIONS_OF_START_UP = [0x3001_2001, 0x0200_3fe5];
/** Address, WCFG, and four words to FDRI. */
const frames = (address: number) => [
  0x3000_2001,
  address,
  0x3000_8001,
  1,
  0x3000_4000,
  0x5000_0004,
  1,
  2,
  3,
  4,
];
const identity = (idcode: number | undefined) => (idcode === undefined ? [] : [0x3001_8001, idcode]);

/**
 * Configuration data as Vivado writes it for a 7z020, almost without its frames (UG470, table 5-19): reset of the CRC,
 * options of the start-up, IDCODE, frames.
 */
export function configuration(idcode?: number): Buffer {
  return words(
    ...BEGINNING,
    NO_OPERATION,
    ...RESET_CRC,
    ...OPTIONS_OF_START_UP,
    ...identity(idcode),
    ...frames(0),
  );
}

/** Partial data: the shorter header, without options of the start-up, and frames of a region. */
export function partialConfiguration(idcode?: number, address = 0x0042_0000): Buffer {
  return words(...BEGINNING, NO_OPERATION, ...RESET_CRC, ...identity(idcode), ...frames(address));
}

/** Encrypted data: after the sync word comes what is no packet. */
export function encryptedConfiguration(): Buffer {
  return words(...BEGINNING, NO_OPERATION, ...RESET_CRC, 0x8f3a_11c7, 0x1bd0_4e92, 0x7754_0a31);
}

/** A .bit file around the data. */
export function bitFile(
  part: string,
  data: Uint8Array,
  design = 'design_1_wrapper;UserID=0XFFFFFFFF',
): Buffer {
  const field = (key: string, value: string) => {
    const text = Buffer.from(`${value}\0`, 'latin1');
    const head = Buffer.from([key.charCodeAt(0), text.length >> 8, text.length & 0xff]);
    return Buffer.concat([head, text]);
  };
  const length = Buffer.alloc(5);
  length.write('e');
  length.writeUInt32BE(data.length, 1);
  return Buffer.concat([
    Buffer.from('00090ff00ff00ff00ff0000001', 'hex'),
    field('a', design),
    field('b', part),
    field('c', '2024/05/17'),
    field('d', '17:55:35'),
    length,
    data,
  ]);
}

export const IDCODE_7Z020 = 0x0372_7093;
export const IDCODE_7Z010 = 0x1372_2093;
export const IDCODE_XCK26 = 0x04a4_9093;
