import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Volume } from 'memfs';
import { afterAll, describe, expect, it } from 'vitest';
import { bytesSource, fileSource, GgmlType, type GgufEntry, openGguf } from '../../../gguf/index.js';
import { counted, countingTensor, fileOf, open, rawFile, sampleFile } from './files.js';

const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-gguf-'));
afterAll(() => rmSync(folder, { recursive: true }));

const ALL_TYPES: Readonly<Record<string, GgufEntry>> = {
  u8: { type: 'uint8', value: 255 },
  i8: { type: 'int8', value: -128 },
  u16: { type: 'uint16', value: 65535 },
  i16: { type: 'int16', value: -32768 },
  u32: { type: 'uint32', value: 4294967295 },
  i32: { type: 'int32', value: -2147483648 },
  f32: { type: 'float32', value: 1.5 },
  yes: { type: 'bool', value: true },
  no: { type: 'bool', value: false },
  text: { type: 'string', value: 'naïve 🙂' },
  u64: { type: 'uint64', value: 12 },
  i64: { type: 'int64', value: -12 },
  u64big: { type: 'uint64', value: 2n ** 64n - 1n },
  i64big: { type: 'int64', value: -(2n ** 63n) },
  f64: { type: 'float64', value: Math.PI },
};

describe('openGguf', () => {
  it('reads every type of value, 64-bit integers as bigint only where a number would not be exact', () => {
    const { metadata } = open(fileOf(ALL_TYPES, []));
    const expected = Object.entries(ALL_TYPES).map(([key, entry]) => [key, entry.value]);
    expect([...metadata]).toEqual(expected);
  });

  it('reads arrays of numbers in the type of the file, others as lists', () => {
    const { metadata } = open(
      fileOf(
        {
          u8: { type: 'array', of: 'uint8', value: [1, 255] },
          i8: { type: 'array', of: 'int8', value: [1, -1] },
          u16: { type: 'array', of: 'uint16', value: [1, 65535] },
          i16: { type: 'array', of: 'int16', value: [1, -1] },
          u32: { type: 'array', of: 'uint32', value: [1, 4294967295] },
          i32: { type: 'array', of: 'int32', value: [1, -1] },
          f32: { type: 'array', of: 'float32', value: [0.5, -1] },
          f64: { type: 'array', of: 'float64', value: [0.1, -1] },
          u64: { type: 'array', of: 'uint64', value: [1, 2n ** 60n] },
          bool: { type: 'array', of: 'bool', value: [true, false] },
          string: { type: 'array', of: 'string', value: ['', 'b'] },
          none: { type: 'array', of: 'float32', value: [] },
        },
        [],
      ),
    );
    expect(Object.fromEntries(metadata)).toEqual({
      u8: Uint8Array.of(1, 255),
      i8: Int8Array.of(1, -1),
      u16: Uint16Array.of(1, 65535),
      i16: Int16Array.of(1, -1),
      u32: Uint32Array.of(1, 4294967295),
      i32: Int32Array.of(1, -1),
      f32: Float32Array.of(0.5, -1),
      f64: Float64Array.of(0.1, -1),
      u64: [1, 2n ** 60n],
      bool: [true, false],
      string: ['', 'b'],
      none: new Float32Array(0),
    });
  });

  it('reads arrays in arrays', () => {
    const bytes = rawFile({
      pairs: (header) => {
        header.string('nested');
        for (const word of [9, 9]) header.u32(word);
        header.u64(2);
        for (const inner of [[1, 2], [3]]) {
          header.u32(5);
          header.u64(inner.length);
          for (const value of inner) header.u32(value);
        }
      },
    });
    expect(open(bytes).metadata.get('nested')).toEqual([Int32Array.of(1, 2), Int32Array.of(3)]);
  });

  it('keeps byte-order marks in tokens, alone and in front', () => {
    const tokens = ['\ufeff', '\ufeffusing', 'a\ufeff'];
    const { metadata } = open(fileOf({ tokens: { type: 'array', of: 'string', value: tokens } }, []));
    expect(metadata.get('tokens')).toEqual(tokens);
  });

  it('reads bytes that are not UTF-8 as replacement characters', () => {
    const bytes = rawFile({
      pairs: (header) => {
        header.string('bad');
        header.u32(8);
        header.u64(3);
        for (const byte of [0x61, 0xff, 0x62]) header.u8(byte);
      },
    });
    expect(open(bytes).metadata.get('bad')).toBe('a\ufffdb');
  });

  it('reads version 2 as it reads version 3', () => {
    const [two, three] = [open(rawFile({ version: 2 })), open(rawFile({ version: 3 }))];
    expect([two.version, three.version]).toEqual([2, 3]);
    expect(two.tensors).toEqual(three.tensors);
  });

  it('describes tensors as rows of blocks with absolute offsets', () => {
    const tensor = countingTensor('t', GgmlType.Q3_K, [512, 3, 2], 6 * 220);
    expect(open(fileOf({}, [tensor])).tensors.get('t')).toEqual({
      name: 't',
      type: GgmlType.Q3_K,
      shape: [512, 3, 2],
      columns: 512,
      rows: 6,
      rowBytes: 220,
      byteOffset: 96,
      byteLength: 1320,
    });
  });

  it('follows general.alignment', () => {
    const tensors = [countingTensor('a', GgmlType.F32, [1], 4), countingTensor('b', GgmlType.F32, [1], 4)];
    const file = open(fileOf({ 'general.alignment': { type: 'uint32', value: 256 } }, tensors));
    expect([...file.tensors.values()].map((tensor) => tensor.byteOffset)).toEqual([256, 512]);
  });

  it('accepts a file with and without padding after the last tensor', () => {
    const tensors = [countingTensor('a', GgmlType.F32, [1], 4)];
    const padded = fileOf({}, tensors);
    expect(open(padded).tensors.size).toBe(1);
    expect(open(padded.subarray(0, padded.length - 28)).tensors.size).toBe(1);
  });

  it('reads the rows that are asked for', () => {
    const file = open(sampleFile());
    const tensor = file.tensors.get('token_embd.weight')!;
    const into = new Uint8Array(100).fill(0xee);
    file.readTensor(tensor, 1, 1, into);
    expect([...into.subarray(0, 84)]).toEqual(Array.from({ length: 84 }, (_, i) => 84 + i));
    expect([...into.subarray(84)]).toEqual(Array(16).fill(0xee));
  });

  it.each([
    [-1, 1, 84],
    [0, 3, 252],
    [2, 1, 84],
    [0.5, 1, 84],
    [0, 1, 83],
    [0, -1, 84],
  ])('refuses to read %s + %s rows of two into %s bytes', (first, count, bytes) => {
    const file = open(sampleFile());
    const tensor = file.tensors.get('token_embd.weight')!;
    expect(() => file.readTensor(tensor, first, count, new Uint8Array(bytes))).toThrow(/GGUF_BAD_RANGE/);
  });

  it('reads one mebibyte of a large file to open it, and no data', () => {
    const columns = 256 * 2 ** 14;
    const bytes = rawFile({
      tensors: (builder) => {
        builder.string('huge');
        builder.u32(2);
        builder.u64(columns);
        builder.u64(64);
        builder.u32(GgmlType.Q2_K);
        builder.u64(0);
      },
      data: 0,
    });
    const source = counted({
      size: bytes.length + (columns / 256) * 84 * 64,
      readInto: (offset, into) => into.set(bytes.subarray(offset, offset + into.length)),
    });
    expect(openGguf(source).tensors.get('huge')?.byteLength).toBe(2 ** 14 * 84 * 64);
    expect([source.reads, source.bytesRead]).toEqual([1, 2 ** 20]);
  });

  it('reads 32000 tokens that cross the window in far less than a second', () => {
    const tokens = Array.from({ length: 32000 }, (_, i) => `\u2581token number ${i} of a vocabulary`);
    const source = counted(
      bytesSource(fileOf({ tokens: { type: 'array', of: 'string', value: tokens } }, [])),
    );
    // The processor's time: beside other work the clock says nothing.
    const start = process.cpuUsage();
    const { metadata } = openGguf(source);
    expect(process.cpuUsage(start).user).toBeLessThan(500_000);
    expect(metadata.get('tokens')).toEqual(tokens);
    expect(source.reads).toBe(Math.ceil(source.size / 2 ** 20));
  });
});

describe('fileSource', () => {
  it('reads a file of the disk, and fails once closed', () => {
    const path = join(folder, 'sample.gguf');
    writeFileSync(path, sampleFile());
    const source = fileSource(path);
    expect(openGguf(source).tensors.size).toBe(2);
    source.close();
    source.close();
    expect(() => openGguf(source)).toThrow(/GGUF_READ_FAILED.*has been closed/);
  });

  it("reads through another file system's functions", () => {
    const volume = Volume.fromJSON({});
    volume.writeFileSync('/model.gguf', sampleFile());
    expect(openGguf(fileSource('/model.gguf', asFileSystem(volume))).tensors.size).toBe(2);
  });

  it('says why a file cannot be opened', () => {
    expect(() => fileSource(join(folder, 'absent.gguf'))).toThrow(/GGUF_READ_FAILED.*absent\.gguf.*ENOENT/);
    expect(() => fileSource(folder)).toThrow(/GGUF_READ_FAILED.*not a regular file/);
  });

  it('notices that a file has shrunk', () => {
    const path = join(folder, 'shrinking.gguf');
    writeFileSync(path, sampleFile());
    using source = fileSource(path);
    writeFileSync(path, new Uint8Array(100));
    expect(() => source.readInto(0, new Uint8Array(200))).toThrow(/GGUF_READ_FAILED.*shrunk/);
  });

  it('refuses ranges outside the file', () => {
    const source = bytesSource(new Uint8Array(10));
    expect(() => source.readInto(8, new Uint8Array(3))).toThrow(/GGUF_BAD_RANGE/);
    expect(() => source.readInto(-1, new Uint8Array(1))).toThrow(/GGUF_BAD_RANGE/);
    expect(() => source.readInto(Number.NaN, new Uint8Array(1))).toThrow(/GGUF_BAD_RANGE/);
  });
});

/** The few synchronous functions that a source takes, from memfs. */
function asFileSystem(volume: InstanceType<typeof Volume>): Parameters<typeof fileSource>[1] {
  return {
    openSync: (path, flags) => volume.openSync(path, flags),
    fstatSync: (descriptor) => {
      const status = volume.fstatSync(descriptor);
      return { size: Number(status.size), isFile: () => status.isFile() };
    },
    readSync: (descriptor, into, offset, length, position) =>
      volume.readSync(descriptor, into, offset, length, position),
    closeSync: (descriptor) => volume.closeSync(descriptor),
  };
}
