import fc from 'fast-check';
import { Volume } from 'memfs';
import { describe, expect, it } from 'vitest';
import { bytesSource, fileSink, GgmlType, type GgufEntry, openGguf } from '../../../gguf/index.js';
import { countingTensor, fileOf, open } from './files.js';

describe('writeGguf', () => {
  it('writes what openGguf reads back, whatever the keys, texts and numbers', () => {
    const entry: fc.Arbitrary<GgufEntry> = fc.oneof(
      fc.record({ type: fc.constant('string' as const), value: fc.string({ unit: 'grapheme' }) }),
      fc.record({
        type: fc.constant('uint64' as const),
        value: fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
      }),
      fc.record({ type: fc.constant('float64' as const), value: fc.double({ noNaN: true }) }),
      fc.record({
        type: fc.constant('array' as const),
        of: fc.constant('string' as const),
        value: fc.array(fc.string()),
      }),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), entry), (metadata) => {
        const read = Object.fromEntries(open(fileOf(metadata, [])).metadata);
        expect(read).toEqual(
          Object.fromEntries(Object.entries(metadata).map(([key, { value }]) => [key, value])),
        );
      }),
      { numRuns: 200 },
    );
  });

  it('pads between tensors, so that each comes back byte for byte', () => {
    const tensors = [1, 7, 8, 9].map((length) =>
      countingTensor(`t${length}`, GgmlType.F32, [length], 4 * length),
    );
    const bytes = fileOf({}, tensors);
    const file = openGguf(bytesSource(bytes));
    for (const tensor of file.tensors.values()) {
      const into = new Uint8Array(tensor.byteLength);
      file.readTensor(tensor, 0, 1, into);
      expect(into).toEqual(Uint8Array.from({ length: tensor.byteLength }, (_, i) => i));
    }
  });

  it('refuses a tensor that produces more or less than its shape says', () => {
    expect(() => fileOf({}, [countingTensor('t', GgmlType.F32, [2], 7)])).toThrow(
      /GGUF_WRITE_MISMATCH.*8 bytes, but 7/,
    );
    expect(() => fileOf({}, [countingTensor('t', GgmlType.F32, [2], 9)])).toThrow(
      /GGUF_WRITE_MISMATCH.*8 bytes, but 9/,
    );
  });

  it('refuses a value that is not of the declared type', () => {
    expect(() => fileOf({ k: { type: 'uint32', value: '5' } }, [])).toThrow(
      /GGUF_WRITE_MISMATCH.*k is declared as uint32/,
    );
    expect(() => fileOf({ k: { type: 'uint32', value: 5n } }, [])).toThrow(/GGUF_WRITE_MISMATCH/);
  });
});

describe('fileSink', () => {
  it('writes pieces in order, also where the system takes only a part of one', () => {
    const volume = Volume.fromJSON({});
    const sink = fileSink('/out', {
      openSync: (path, flags) => volume.openSync(path, flags),
      writeSync: (descriptor, bytes, offset, length) =>
        volume.writeSync(descriptor, bytes, offset, Math.min(length, 3)),
      closeSync: (descriptor) => volume.closeSync(descriptor),
    });
    sink.write(Uint8Array.of(1, 2, 3, 4, 5));
    sink.write(Uint8Array.of(6, 7));
    sink.close();
    expect([...new Uint8Array(Buffer.from(volume.readFileSync('/out')))]).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it('reports a full disk as a typed error', () => {
    const full = () => {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    };
    const sink = fileSink('/out', { openSync: () => 3, writeSync: full, closeSync: () => {} });
    expect(() => sink.write(Uint8Array.of(1))).toThrow(/GGUF_WRITE_FAILED.*ENOSPC/);
  });
});
