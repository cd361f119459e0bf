/** Big-endian 32-bit words as bytes. */
function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => {
    bytes.writeUInt32BE(value >>> 0, 4 * i);
  });
  return bytes;
}

/**
 * Configuration data as Vivado writes it for a 7z020, without its frames: dummy words, bus width pattern, sync word, a
 * no-operation, reset of the CRC, IDCODE, and a write to FDRI (UG470, table 5-19).
 */
export function configuration(idcode?: number): Buffer {
  const dummies = Array.from({ length: 8 }, () => 0xffff_ffff);
  const identity = idcode === undefined ? [] : [0x3001_8001, idcode];
  return words(
    ...dummies,
    0x0000_00bb,
    0x1122_0044,
    0xffff_ffff,
    0xffff_ffff,
    0xaa99_5566,
    0x2000_0000,
    0x3000_8001,
    0x0000_0007,
    0x2000_0000,
    ...identity,
    0x3000_4000,
    0x5000_0004,
    1,
    2,
    3,
    4,
  );
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
