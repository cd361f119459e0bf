import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import {
  checkPart,
  partOf,
  readBitstream,
  toFirmware,
} from '../../../firmware-bridge/bitstream/bitstream.js';
import { findPart, partNamed } from '../../../firmware-bridge/bitstream/parts.js';
import { inspectFirmware } from '../../../firmware-bridge/inspect.js';
import {
  bitFile,
  configuration,
  encryptedConfiguration,
  IDCODE_7Z010,
  IDCODE_7Z020,
  IDCODE_XCK26,
  partialConfiguration,
} from './support/bitstreams.js';

const z1 = bitFile('7z020clg400', configuration(IDCODE_7Z020));
const z1Part = partNamed('7z020');
const kv260Part = partNamed('xck26');

describe('a .bit file', () => {
  it('says which design it is, for which part, and when it was built', () => {
    const { header, idcode, format, order, data } = readBitstream(z1);
    expect(header).toMatchObject({
      design: 'design_1_wrapper;UserID=0XFFFFFFFF',
      part: '7z020clg400',
      date: '2024/05/17',
      time: '17:55:35',
    });
    expect({ idcode, format, order }).toEqual({ idcode: IDCODE_7Z020, format: 'bit', order: 'bit' });
    expect(Buffer.from(data)).toEqual(configuration(IDCODE_7Z020));
  });

  it('becomes a .bin with the bytes of each word reversed for a Zynq-7000', () => {
    const firmware = toFirmware(readBitstream(z1), z1Part);
    expect(Buffer.from(firmware).indexOf(Buffer.from('665599aa', 'hex'))).toBe(48);
    expect(firmware).toHaveLength(configuration(IDCODE_7Z020).length);
  });

  it('becomes a .bin with its bytes as they are for an UltraScale+', () => {
    const bytes = bitFile('xck26-sfvc784-2LV-c', configuration(IDCODE_XCK26));
    const bitstream = readBitstream(bytes);
    checkPart(bitstream, kv260Part);
    expect(toFirmware(bitstream, kv260Part)).toEqual(configuration(IDCODE_XCK26));
  });

  it('is left as it was when it becomes a .bin', () => {
    const before = Buffer.from(z1);
    toFirmware(readBitstream(z1), z1Part);
    expect(z1).toEqual(before);
  });

  it.each([
    ['cut short', z1.subarray(0, z1.length - 4), /announces \d+ bytes of data/],
    ['with bytes after its end', Buffer.concat([z1, Buffer.alloc(4)]), /announces/],
    ['cut in its header', z1.subarray(0, 30), /field a has a length/],
    ['with no sync word', bitFile('7z020clg400', Buffer.alloc(64, 0xff)), /no sync word/],
    [
      'of half words',
      bitFile('7z020clg400', Buffer.concat([configuration(), Buffer.alloc(2)])),
      /whole words/,
    ],
    ['with text that is none', bitFile('7z0\x1b20', configuration()), /field b is not text/],
  ])('%s is refused', (_, bytes, message) => {
    expect(() => readBitstream(bytes)).toThrow(message);
  });

  it('with a length of 65535 in its header is refused without reading past its end', () => {
    const hostile = Buffer.from(z1);
    hostile.writeUInt16BE(0xffff, 14);
    expect(() => readBitstream(hostile)).toThrow(/field a has a length of 65535/);
  });
});

describe('a .bin file', () => {
  it.each([
    ['reversed, as bootgen writes it for a Zynq-7000', configuration(IDCODE_7Z020).swap32(), 'swapped'],
    ['as in the .bit', configuration(IDCODE_7Z020), 'bit'],
  ])('%s becomes the same firmware', (_, bytes, order) => {
    const bitstream = readBitstream(bytes);
    expect(bitstream).toMatchObject({ format: 'bin', order, idcode: IDCODE_7Z020 });
    expect(toFirmware(bitstream, z1Part)).toEqual(toFirmware(readBitstream(z1), z1Part));
  });

  it('is for the FPGA that its IDCODE names', () => {
    expect(partOf(readBitstream(configuration(IDCODE_7Z020)))).toBe(z1Part);
  });

  it('that names no part is refused, as nobody can tell whether it fits', () => {
    expect(() => checkPart(readBitstream(configuration()), z1Part)).toThrow(/FIRMWARE_PART_UNKNOWN/);
  });
});

describe('a partial bitstream', () => {
  const whole = configuration(IDCODE_XCK26);
  const part = 'xck26-sfvc784-2LV-c';
  it.each([
    [
      'its note',
      bitFile(part, whole, 'design_1_wrapper;COMPRESS=TRUE;PARTIAL=TRUE;UserID=0XFFFFFFFF;Version=2025.2'),
    ],
    ['its name', bitFile(part, whole, 'design_1_wrapper_pblock_rp1_partial;UserID=0XFFFFFFFF')],
    ['its packets', bitFile(part, partialConfiguration(IDCODE_XCK26))],
    ['the packets of a .bin', partialConfiguration(IDCODE_XCK26)],
    ['the packets of a .bin with reversed bytes', partialConfiguration(IDCODE_7Z020).swap32()],
    ['the packets, where its region begins at address 0', partialConfiguration(IDCODE_7Z020, 0)],
  ])('is refused by %s', (_, bytes) => {
    expect(() => readBitstream(bytes)).toThrow(/FIRMWARE_BITSTREAM_PARTIAL/);
    expect(() => inspectFirmware(bytes)).toThrow(/is for a part of an FPGA only/);
  });

  it.each([
    [
      'that notes other things',
      bitFile(
        part,
        whole,
        'partial_sums;COMPRESS=TRUE;PARTIAL=FALSE;UserID=0XFFFFFFFF;SW_CRC=0;Version=2025.2.1',
      ),
    ],
    ['that is encrypted, where packets cannot tell', bitFile(part, encryptedConfiguration())],
  ])('is not one %s', (_, bytes) => {
    expect(readBitstream(bytes).header?.part).toBe(part);
  });
});

describe('the part', () => {
  it.each(['7z020clg400', 'xc7z020clg400-1', 'XC7Z020', '7z020'])('%s is a 7z020', (spelling) => {
    expect(findPart(spelling)).toBe(z1Part);
  });

  it.each(['7z0200', '7z02', 'xc7a35t', '', 'xczu5ev'])('"%s" is no known FPGA', (spelling) => {
    expect(findPart(spelling)).toBeUndefined();
  });

  it.each([
    ['its header', bitFile('7z010clg400', configuration(IDCODE_7Z020)), z1Part, /header says 7z010clg400/],
    [
      'its IDCODE',
      bitFile('7z020clg400', configuration(IDCODE_7Z010)),
      z1Part,
      /0x13722093 is that of a 7z010/,
    ],
    ['an unknown IDCODE', configuration(0x0363_1093), z1Part, /0x03631093 is unknown/],
    ['its family', z1, kv260Part, /7z020clg400; the board has a xck26/],
  ])('of another FPGA by %s is refused', (_, bytes, part, message) => {
    expect(() => checkPart(readBitstream(bytes), part)).toThrow(message);
  });

  it('of another silicon version is the same FPGA', () => {
    expect(() => checkPart(readBitstream(configuration(0x2372_7093)), z1Part)).not.toThrow();
  });
});

describe('hostile bytes', () => {
  const onlyTypedErrors = (bytes: Uint8Array) => {
    try {
      const bitstream = readBitstream(bytes);
      checkPart(bitstream, z1Part);
    } catch (error) {
      expect(error).toBeInstanceOf(PynqLlmError);
    }
  };

  it('end in a typed error or in a bitstream', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), onlyTypedErrors));
  });

  it('anywhere in a real file do the same', () => {
    const place = fc.nat({ max: z1.length - 1 });
    fc.assert(
      fc.property(fc.array(fc.tuple(place, fc.nat({ max: 255 })), { maxLength: 6 }), place, (edits, end) => {
        const bytes = Buffer.from(z1);
        for (const [at, value] of edits) bytes[at] = value;
        onlyTypedErrors(bytes);
        onlyTypedErrors(bytes.subarray(0, end));
      }),
    );
  });

  it('after the sync word cannot keep the search for IDCODE going', () => {
    const packets = fc.array(fc.nat({ max: 0xffff_ffff }), { maxLength: 64 });
    fc.assert(
      fc.property(packets, (values) => {
        const data = Buffer.alloc(4 * (values.length + 1));
        data.writeUInt32BE(0xaa99_5566, 0);
        values.forEach((value, i) => {
          data.writeUInt32BE(value, 4 * i + 4);
        });
        onlyTypedErrors(data);
      }),
    );
  });
});
