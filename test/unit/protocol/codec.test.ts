import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPynqLlmError } from '../../../errors/index.js';
import { decodeFrame, encodeFrame, MAX_DEPTH, MAX_FRAME_BYTES, MAX_VALUES } from '../../../protocol/index.js';

const bytes = (...values: number[]) => Uint8Array.from(values);

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (isPynqLlmError(error)) return error.code;
    throw error;
  }
  return 'accepted';
}

/** Values that a frame may hold. */
const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger(),
    // MessagePack writes whole numbers as integers, which have no -0.
    fc.double().filter((value) => !Object.is(value, -0)),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array().map((array) => Buffer.from(array)),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(
      fc.string().filter((key) => !['__proto__', 'constructor', 'prototype'].includes(key)),
      tie('value'),
      {
        maxKeys: 5,
        noNullPrototype: true,
      },
    ),
  ),
})).value;

describe('the codec', () => {
  it('gives back any plain value', () => {
    fc.assert(
      fc.property(plain, (value) => {
        expect(decodeFrame(encodeFrame({ value }))).toEqual({ value });
      }),
    );
  });

  it('leaves out fields that are undefined', () => {
    expect(decodeFrame(encodeFrame({ a: 1, b: undefined }))).toEqual({ a: 1 });
  });

  it('ends in one of its own errors, or in a value, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (frame) => {
        expect(codeOf(() => decodeFrame(frame))).toMatch(/^(accepted|PROTOCOL_[A-Z_]+)$/);
      }),
      { numRuns: 3000 },
    );
  });

  it('ends in one of its own errors for a good frame cut anywhere', () => {
    const frame = encodeFrame({
      id: 1,
      method: 'registers.read',
      params: { registers: ['a', 'b'], n: [1, 2.5, null] },
    });
    for (let length = 0; length < frame.length; length++)
      expect(codeOf(() => decodeFrame(frame.subarray(0, length)))).toBe('PROTOCOL_FRAME_MALFORMED');
  });

  it('refuses a frame over the limit without reading it', () => {
    expect(codeOf(() => decodeFrame(new Uint8Array(MAX_FRAME_BYTES + 1)))).toBe('PROTOCOL_FRAME_TOO_LARGE');
  });

  it('refuses to send a frame over the limit', () => {
    expect(codeOf(() => encodeFrame({ data: new Uint8Array(MAX_FRAME_BYTES) }))).toBe(
      'PROTOCOL_FRAME_TOO_LARGE',
    );
  });

  it('refuses nesting that would overflow a recursive decoder', () => {
    expect(codeOf(() => decodeFrame(new Uint8Array(1_000_000).fill(0x91)))).toBe(
      'PROTOCOL_FRAME_TOO_COMPLEX',
    );
  });

  it('takes the deepest nesting that is allowed', () => {
    const deepest = Uint8Array.from([...Array<number>(MAX_DEPTH).fill(0x91), 0x01]);
    expect(codeOf(() => decodeFrame(deepest))).toBe('accepted');
  });

  it('refuses more values than the limit', () => {
    const frame = new Uint8Array(5 + MAX_VALUES);
    frame.set([0xdd, 0, 4, 0, 0]);
    expect(codeOf(() => decodeFrame(frame))).toBe('PROTOCOL_FRAME_TOO_COMPLEX');
  });

  it('refuses an array that claims more entries than the frame has bytes', () => {
    expect(codeOf(() => decodeFrame(bytes(0xdd, 0xff, 0xff, 0xff, 0xff)))).toBe('PROTOCOL_FRAME_MALFORMED');
  });

  it.each([
    ['fixext 1', bytes(0xd4, 0x00, 0x00)],
    ['fixext 16', bytes(0xd8, 0x01, ...Array<number>(16).fill(0))],
    ['ext 8', bytes(0xc7, 0x01, 0x72, 0x00)],
    ['ext 32', bytes(0xc9, 0, 0, 0, 1, 0x72, 0x00)],
    ['a timestamp', bytes(0xd6, 0xff, 0, 0, 0, 0)],
  ])('refuses the extension type of %s', (_, frame) => {
    expect(codeOf(() => decodeFrame(frame))).toBe('PROTOCOL_TYPE_REFUSED');
  });

  it.each(['__proto__', 'constructor', 'prototype'])('refuses the map key %s at any depth', (key) => {
    const encoded = new TextEncoder().encode(key);
    const inner = [0x81, 0xa0 | encoded.length, ...encoded, 0x80];
    expect(codeOf(() => decodeFrame(Uint8Array.from([0x81, 0xa1, 0x61, ...inner])))).toBe(
      'PROTOCOL_TYPE_REFUSED',
    );
  });

  it('refuses a map key that is not a string', () => {
    expect(codeOf(() => decodeFrame(bytes(0x81, 0x01, 0x02)))).toBe('PROTOCOL_FRAME_MALFORMED');
  });

  it('refuses bytes after the value', () => {
    expect(codeOf(() => decodeFrame(bytes(0x80, 0x80)))).toBe('PROTOCOL_FRAME_MALFORMED');
  });
});
