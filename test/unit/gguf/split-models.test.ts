import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import { fileSource, modelSource, openGguf } from '../../../gguf/index.js';
import { partName, splitFile } from './split-file.js';

const WHOLE = 'models/tiny-stories-Q3_K_M.gguf';
const OTHER = 'models/tiny-stories-Q2_K.gguf';

let folder: string;
let parts: string[];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'split-'));
  // 30 tensors: 13, 13 and 4.
  parts = splitFile(WHOLE, folder, 'tiny', 13);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A folder of its own with the parts in it. */
function copied(change: (names: string[], inside: string) => void, from: readonly string[] = parts): string {
  const inside = mkdtempSync(join(folder, 'copy-'));
  const names = from.map((part) => join(inside, basename(part)));
  for (const [i, name] of names.entries()) copyFileSync(from[i], name);
  change(names, inside);
  return names[0];
}

function errorOf(path: string): PynqLlmError {
  try {
    modelSource(path).close();
  } catch (error) {
    if (error instanceof PynqLlmError) return error;
    throw error;
  }
  throw new Error('it was opened');
}

describe('the parts of a split model', () => {
  it('are read as the file that was cut, wherever one begins to read', () => {
    using source = modelSource(parts[0]);
    const whole = readFileSync(WHOLE);
    expect([source.name, source.files, source.size]).toEqual(['tiny.gguf', parts, whole.length]);
    for (const length of [1, 31, 4096, 1 << 20])
      for (let offset = 0; offset + length <= whole.length; offset += Math.ceil(whole.length / 97)) {
        const into = Buffer.alloc(length, 0xee);
        source.readInto(offset, into);
        if (!into.equals(whole.subarray(offset, offset + length)))
          expect.fail(`${length} bytes at ${offset} differ`);
      }
    expect(openGguf(source).tensors).toEqual(openGguf(fileSource(WHOLE)).tensors);
  });

  it.each([1, 29, 30])('may have %i tensors each', (most) => {
    const inside = mkdtempSync(join(folder, 'other-'));
    const [first] = splitFile(WHOLE, inside, 'other', most);
    if (most < 30) {
      using source = modelSource(first);
      const into = Buffer.alloc(source.size);
      source.readInto(0, into);
      expect(into.equals(readFileSync(WHOLE))).toBe(true);
    } else expect(openGguf(fileSource(first)).tensors.size).toBe(30);
  });

  it('give no bytes beyond the end, and none after closing', () => {
    const source = modelSource(parts[0]);
    expect(() => source.readInto(source.size, new Uint8Array(1))).toThrow(/GGUF_BAD_RANGE/);
    source.close();
    expect(() => source.readInto(source.size - 1, new Uint8Array(1))).toThrow(/GGUF_READ_FAILED/);
  });

  it.each([1, 2])('but the first say which the first is: %i', (i) => {
    const error = errorOf(parts[i]);
    expect([error.code, error.what]).toEqual([
      'GGUF_SPLIT_PART',
      `The file is part ${i + 1} of 3 of a split model.`,
    ]);
    expect(error.remedy).toBe(`Give the first part: ${parts[0]}`);
  });

  it('under another name, or on a board, are no model', () => {
    const renamed = join(folder, 'renamed.gguf');
    copyFileSync(parts[0], renamed);
    using source = modelSource(renamed);
    expect(() => openGguf(source)).toThrow(/GGUF_SPLIT_PART.*part 1 of 3.*NAME-00001-of-NNNNN\.gguf/);
  });

  it('that are not there are all named', () => {
    const error = errorOf(
      copied(([, ...rest]) => {
        for (const name of rest) rmSync(name);
      }),
    );
    expect([error.code, error.what]).toEqual([
      'GGUF_SPLIT_PART_MISSING',
      `Of 3 parts there is no ${partName('tiny', 2, 3)}, ${partName('tiny', 3, 3)}.`,
    ]);
  });

  it('that end too early are named', () => {
    const path = copied(([, second]) => writeFileSync(second, readFileSync(second).subarray(0, -5000)));
    expect(errorOf(path)).toMatchObject({ code: 'GGUF_TRUNCATED', what: /^tiny-00002-of-00003\.gguf: / });
  });

  it('that are pointers are named', () => {
    const path = copied(([, second]) =>
      writeFileSync(second, 'version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n'),
    );
    expect(errorOf(path).message).toMatch(
      /GGUF_BAD_MAGIC\] tiny-00002-of-00003\.gguf: .*Git LFS pointer.*git lfs pull/,
    );
  });

  it.each<[string, RegExp, (names: string[], inside: string) => void]>([
    [
      'swapped',
      /tiny-00002-of-00003\.gguf says of itself that it is part 3, not 2/,
      ([, second, third], inside) => {
        renameSync(second, join(inside, 'x'));
        renameSync(third, second);
        renameSync(join(inside, 'x'), third);
      },
    ],
    [
      'of another model cut otherwise',
      /tiny-00002-of-00003\.gguf has another split\.count than the first part: 5, not 3/,
      ([, second], inside) => {
        const [, other] = splitFile(OTHER, inside, 'x', 7, (facts) => ({ ...facts, count: 5 }));
        renameSync(other, second);
      },
    ],
    [
      'of another model that says more of itself',
      /tiny-00002-of-00003\.gguf has another general\.file_type than the first part/,
      ([, second], inside) => {
        const [other] = splitFile(OTHER, inside, 'x', 13, (facts) => ({ ...facts, number: 1 }));
        renameSync(other, second);
      },
    ],
    [
      'of another model, with the same tensors',
      /The tensor .* is in tiny-0000\d-of-00003\.gguf and in tiny-0000\d-of-00003\.gguf/,
      ([, second], inside) => {
        const [, other] = splitFile(OTHER, inside, 'x', 15, (facts) => ({ ...facts, count: 3 }));
        renameSync(other, second);
      },
    ],
    [
      'fewer than the metadata say',
      /The name says that tiny has 3 parts, its metadata that it has 4/,
      ([first], inside) => {
        const [other] = splitFile(WHOLE, inside, 'x', 13, (facts) => ({ ...facts, count: 4 }));
        renameSync(other, first);
      },
    ],
    [
      'of fewer tensors than they should have',
      /The parts have 30 tensors, not the 31/,
      (names, inside) => {
        const lying = splitFile(WHOLE, inside, 'x', 13, (facts) => ({ ...facts, tensors: 31 }));
        for (const [i, name] of lying.entries()) renameSync(name, names[i]);
      },
    ],
  ])('that are %s are refused', (_, what, change) => {
    const error = errorOf(copied(change));
    expect(error.code).toBe('GGUF_SPLIT_MISMATCH');
    expect(error.what).toMatch(what);
  });

  it('of a quantity that would take all open files are refused before any is opened', () => {
    const path = join(folder, partName('many', 1, 600));
    const inside = mkdtempSync(join(folder, 'many-'));
    const [first] = splitFile(WHOLE, inside, 'x', 13, (facts) => ({ ...facts, count: 600 }));
    renameSync(first, path);
    expect(errorOf(path).message).toMatch(
      /GGUF_SPLIT_MISMATCH.*600 parts; at most 512.*llama-gguf-split --merge/,
    );
  });

  it('a whole model may be named like a part', () => {
    const path = join(folder, partName('whole', 2, 7));
    copyFileSync(WHOLE, path);
    using source = modelSource(path);
    expect([source.name, openGguf(source).tensors.size]).toEqual([partName('whole', 2, 7), 30]);
  });
});
