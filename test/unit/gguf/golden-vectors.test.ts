import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CORE_BLOCK_BYTES, type CoreType, multiplyBlockRow, Q8K_BYTES } from '../../../gguf/index.js';

const folder = 'vectors';
const files = readdirSync(folder).filter((name) => name.endsWith('.bin'));

describe("multiplyBlockRow on the core's golden vectors", () => {
  it('finds vectors of all five types', () => {
    expect(new Set(files.map((name) => name.split('_')[1]))).toEqual(new Set(['q2', 'q3', 'q4', 'q5', 'q6']));
  });

  it.each(files)('gives the bits of %s', (name) => {
    expect(mismatches(readFileSync(`${folder}/${name}`))).toBe(0);
  });
});

/** Results that differ in a bit from the vector's; NaN counts as one value. Layout: vectors/README.md. */
function mismatches(file: Buffer): number {
  const header = (word: number): number => file.readUInt32LE(4 * word);
  const coreType = header(2) as CoreType;
  const [m, n, kb] = [header(3), header(4), header(5) / 256];
  const weights = file.subarray(header(8), header(8) + header(6));
  const inputs = file.subarray(header(9), header(9) + header(7));
  let wrong = 0;
  for (let column = 0; column < n; column++) {
    for (let row = 0; row < m; row++) {
      const w0 = row * kb * CORE_BLOCK_BYTES[coreType];
      const actual = multiplyBlockRow(coreType, weights, w0, inputs, column * kb * Q8K_BYTES, kb);
      const expected = file.readFloatLE(header(10) + 4 * (column * m + row));
      if (!Object.is(actual, expected)) wrong++;
    }
  }
  return wrong;
}
