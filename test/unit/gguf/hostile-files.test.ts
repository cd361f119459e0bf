import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ErrorCodeName, isPynqLlmError, type PynqLlmError } from '../../../errors/index.js';
import type { HeaderBuilder } from '../../../gguf/header-builder.js';
import { bytesSource, GgmlType, openGguf } from '../../../gguf/index.js';
import { counted, open, type RawHeader, rawFile, rawTensor, sampleFile } from './files.js';

const [UINT8, UINT32, BOOL, STRING, ARRAY] = [0, 4, 7, 8, 9];

function errorOf(bytes: Uint8Array): PynqLlmError {
  try {
    open(bytes);
  } catch (error) {
    if (isPynqLlmError(error)) return error;
    throw error;
  }
  throw new Error('the file was accepted');
}

/** A metadata pair with a value that is written by hand. */
function pair(
  key: string,
  type: number,
  value: (header: HeaderBuilder) => void,
): (header: HeaderBuilder) => void {
  return (header) => {
    header.string(key);
    header.u32(type);
    value(header);
  };
}

function array(key: string, of: number, count: number | bigint, values?: (header: HeaderBuilder) => void) {
  return pair(key, ARRAY, (header) => {
    header.u32(of);
    header.u64(count);
    values?.(header);
  });
}

/** An array of an array of ... an empty array of bytes. */
function nested(depth: number): (header: HeaderBuilder) => void {
  return array('deep', depth === 1 ? UINT8 : ARRAY, depth === 1 ? 0 : 1, (header) => {
    for (let level = depth - 1; level > 0; level--) {
      header.u32(level === 1 ? UINT8 : ARRAY);
      header.u64(level === 1 ? 0 : 1);
    }
  });
}

const twoTensors = (
  first: Parameters<typeof rawTensor>[1],
  second: Parameters<typeof rawTensor>[1],
): RawHeader => ({
  tensorCount: 2,
  data: 96,
  tensors: (header) => {
    rawTensor(header, first);
    rawTensor(header, second);
  },
});

const oneTensor = (tensor: Parameters<typeof rawTensor>[1]): RawHeader => ({
  tensors: (header) => rawTensor(header, tensor),
});

/** What is wrong, with which error, at which byte (24: after magic, version and the two counts). */
const HOSTILE: readonly (readonly [string, RawHeader, ErrorCodeName, number | undefined])[] = [
  ['version 1', { version: 1 }, 'GGUF_UNSUPPORTED_VERSION', 4],
  ['version 4', { version: 4 }, 'GGUF_UNSUPPORTED_VERSION', 4],
  ['version 0', { version: 0 }, 'GGUF_UNSUPPORTED_VERSION', 4],
  ['a version with its bytes swapped', { version: 0x03000000 }, 'GGUF_BIG_ENDIAN', 4],
  ['2**63 tensors', { tensorCount: 2n ** 63n }, 'GGUF_COUNT_TOO_LARGE', 8],
  ['more tensors than its bytes could list', { tensorCount: 40 }, 'GGUF_COUNT_TOO_LARGE', 8],
  ['2**64 - 1 metadata pairs', { pairCount: 2n ** 64n - 1n }, 'GGUF_COUNT_TOO_LARGE', 16],
  ['more tensors than it lists', { tensorCount: 2 }, 'GGUF_BAD_NAME', undefined],
  ['a key of 2**40 bytes', { pairs: (header) => header.u64(2n ** 40n) }, 'GGUF_COUNT_TOO_LARGE', 24],
  ['an empty key', { pairs: (header) => header.string('') }, 'GGUF_BAD_NAME', 24],
  ['a key of 65536 bytes', { pairs: (header) => header.string('k'.repeat(65536)) }, 'GGUF_BAD_NAME', 24],
  ['an unknown value type', { pairs: pair('k', 13, () => {}) }, 'GGUF_BAD_VALUE', 33],
  ['an unknown element type', { pairs: array('k', 99, 0) }, 'GGUF_BAD_VALUE', 37],
  ['a boolean of 2', { pairs: pair('k', BOOL, (header) => header.u8(2)) }, 'GGUF_BAD_VALUE', 37],
  [
    'a string of 2**64 - 1 bytes',
    { pairs: pair('k', STRING, (header) => header.u64(2n ** 64n - 1n)) },
    'GGUF_COUNT_TOO_LARGE',
    37,
  ],
  ['an array of 2**61 strings', { pairs: array('k', STRING, 2n ** 61n) }, 'GGUF_COUNT_TOO_LARGE', 41],
  ['an array of 2**32 bytes', { pairs: array('k', UINT8, 2 ** 32) }, 'GGUF_COUNT_TOO_LARGE', 41],
  ['arrays five deep', { pairs: nested(5) }, 'GGUF_NESTING_TOO_DEEP', undefined],
  [
    'the same key twice',
    {
      pairCount: 2,
      pairs: (header) => {
        for (let time = 0; time < 2; time++) pair('k', UINT8, (value) => value.u8(1))(header);
      },
    },
    'GGUF_DUPLICATE_KEY',
    38,
  ],
  [
    'an alignment of 0',
    { pairs: pair('general.alignment', UINT32, (header) => header.u32(0)) },
    'GGUF_BAD_ALIGNMENT',
    undefined,
  ],
  [
    'an alignment of 48',
    { pairs: pair('general.alignment', UINT32, (header) => header.u32(48)) },
    'GGUF_BAD_ALIGNMENT',
    undefined,
  ],
  [
    'a text as alignment',
    { pairs: pair('general.alignment', STRING, (header) => header.string('32')) },
    'GGUF_BAD_ALIGNMENT',
    undefined,
  ],
  ['a tensor without a name', oneTensor({ name: '' }), 'GGUF_BAD_NAME', 24],
  ['a tensor name of 65 bytes', oneTensor({ name: 'n'.repeat(65) }), 'GGUF_BAD_NAME', 24],
  ['a tensor without dimensions', oneTensor({ shape: [] }), 'GGUF_BAD_DIMENSIONS', 43],
  ['a tensor of five dimensions', oneTensor({ shape: [8, 1, 1, 1, 1] }), 'GGUF_BAD_DIMENSIONS', 43],
  ['a tensor with an empty dimension', oneTensor({ shape: [8, 0] }), 'GGUF_BAD_DIMENSIONS', 43],
  [
    'dimensions whose product overflows 64 bits',
    oneTensor({ shape: [2n ** 32n, 2n ** 32n, 2n ** 32n] }),
    'GGUF_BAD_DIMENSIONS',
    43,
  ],
  [
    'a dimension of 2**64 - 1 beside an empty one',
    oneTensor({ shape: [2n ** 64n - 1n, 0] }),
    'GGUF_BAD_DIMENSIONS',
    43,
  ],
  ['a tensor type that does not exist', oneTensor({ type: 4000 }), 'GGUF_UNSUPPORTED_TENSOR_TYPE', 55],
  ['a tensor type that is not read', oneTensor({ type: 9, shape: [32] }), 'GGUF_UNSUPPORTED_TENSOR_TYPE', 55],
  [
    'weights of type Q8_K',
    oneTensor({ type: GgmlType.Q8_K, shape: [256] }),
    'GGUF_UNSUPPORTED_TENSOR_TYPE',
    55,
  ],
  [
    'rows of 128 values in Q3_K',
    oneTensor({ type: GgmlType.Q3_K, shape: [128, 2] }),
    'GGUF_ROW_NOT_WHOLE_BLOCKS',
    24,
  ],
  ['a tensor at an odd offset', oneTensor({ shape: [4], offset: 4 }), 'GGUF_TENSOR_MISALIGNED', 24],
  ['a tensor beyond the end', oneTensor({ offset: 64 }), 'GGUF_TRUNCATED', 24],
  ['a tensor at 2**64 - 32', oneTensor({ offset: 2n ** 64n - 32n }), 'GGUF_TRUNCATED', 24],
  ['a tensor longer than the file', oneTensor({ shape: [9] }), 'GGUF_TRUNCATED', 24],
  ['two tensors of one name', twoTensors({}, { offset: 32 }), 'GGUF_DUPLICATE_TENSOR', 67],
  [
    'two tensors in the same bytes',
    twoTensors({ name: 'a', shape: [16] }, { name: 'b', offset: 32 }),
    'GGUF_TENSOR_OVERLAP',
    undefined,
  ],
  ['more bytes than its tensors and padding', { data: 65 }, 'GGUF_TRAILING_DATA', undefined],
];

describe('openGguf refuses a file with', () => {
  it.each(HOSTILE)('%s', (_, raw, code, offset) => {
    const error = errorOf(rawFile(raw));
    expect(error.code).toBe(code);
    if (offset !== undefined) expect(error.context.offset).toBe(offset);
  });

  it('another magic number', () => {
    const error = errorOf(new TextEncoder().encode('version https://git-lfs.github.com/spec/v1'));
    expect(error).toMatchObject({ code: 'GGUF_BAD_MAGIC', context: { offset: 0 } });
  });

  it('nothing in it', () => {
    expect(errorOf(new Uint8Array(0))).toMatchObject({
      code: 'GGUF_TRUNCATED',
      context: { offset: 0, size: 0 },
    });
  });

  it('an end anywhere before its own', () => {
    const whole = sampleFile();
    expect(open(whole).tensors.size).toBe(2);
    // The file ends with 32 bytes of tensor and no padding: every shorter one lacks something.
    for (let size = 0; size < whole.length; size++) {
      const { code, context } = errorOf(whole.subarray(0, size));
      expect(['GGUF_TRUNCATED', 'GGUF_COUNT_TOO_LARGE'], `cut to ${size}`).toContain(code);
      expect(context.offset).toBeTypeOf('number');
    }
  });

  it('more array elements than fit a board, be they booleans or empty arrays', () => {
    const booleans = rawFile({
      pairs: array('k', BOOL, 2 ** 21 + 1, (header) => {
        for (let i = 0; i < 2 ** 18 + 1; i++) header.u64(0);
      }),
    });
    expect(errorOf(booleans).code).toBe('GGUF_HEADER_TOO_LARGE');
    const arrays = rawFile({
      pairs: array('k', ARRAY, 2 ** 17, (header) => {
        for (let i = 0; i < 3 * 2 ** 16; i++) header.u64(0);
      }),
    });
    expect(errorOf(arrays).code).toBe('GGUF_HEADER_TOO_LARGE');
  });

  it('a header of more than 64 MiB, without reading it', () => {
    const start = rawFile({ pairs: array('k', UINT8, 2 ** 27) }).subarray(0, 49);
    const source = counted({
      size: 2 ** 28,
      readInto: (offset, into) => into.set(start.subarray(offset, offset + into.length)),
    });
    expect(() => openGguf(source)).toThrow(/GGUF_HEADER_TOO_LARGE/);
    expect(source.bytesRead).toBeLessThanOrEqual(2 ** 20);
  });
});

describe('a file with damaged bytes', () => {
  const whole = sampleFile();
  const headerEnd = whole.length - 192 - 32;

  it('opens or ends in a typed error, and is never read for more than twice its size', () => {
    const damage = fc.array(
      fc.tuple(fc.nat(headerEnd), fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255))),
      {
        minLength: 1,
        maxLength: 6,
      },
    );
    let refused = 0;
    fc.assert(
      fc.property(damage, fc.nat(whole.length), fc.boolean(), (changes, size, cut) => {
        const bytes = whole.slice(0, cut ? size : whole.length);
        for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
        const source = counted(bytesSource(bytes));
        try {
          openGguf(source);
        } catch (error) {
          expect(error).toSatisfy((thrown) => isPynqLlmError(thrown));
          refused++;
        }
        expect(source.bytesRead).toBeLessThanOrEqual(2 * bytes.length);
      }),
      { numRuns: 3000 },
    );
    expect(refused).toBeGreaterThan(1000);
  });
});
