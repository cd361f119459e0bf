import { describe, expect, it } from 'vitest';
import { Accelerator } from '../../../driver/accelerator.js';
import { loadBoardDescription } from '../../../driver/board-file.js';
import { filesOf, listChecks } from '../../../driver/self-test/checks.js';
import { runCheck } from '../../../driver/self-test/run-check.js';
import { bitMismatches, readVector } from '../../../driver/self-test/vector.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { LISTS, readFile } from './golden.js';

describe('the self-test', () => {
  it.each(['pynq-z1', 'pynq-z1-v1'])('passes every golden MatMul, counter table and stream on %s', (name) => {
    const description = loadBoardDescription(name);
    const accelerator = new Accelerator(openMockBoard(description));
    const checks = listChecks(LISTS, description.revision);
    expect(checks.filter(({ kind }) => kind === 'stream')).toHaveLength(47);
    expect(checks.filter(({ kind }) => kind === 'counters')).toHaveLength(36);
    const failed = checks
      .map((check) =>
        runCheck(accelerator, check, new Map(filesOf(check).map((file) => [file, readFile(file)]))),
      )
      .filter(({ passed }) => !passed);
    expect(failed).toEqual([]);
    const { counters } = new Accelerator(openMockBoard(description));
    expect(accelerator.counters.getTargets()).toEqual(counters.getTargets());
  });

  it('finds wrong bits, cycles, counters and packets', () => {
    const accelerator = new Accelerator(openMockBoard(loadBoardDescription('pynq-z1')));
    const checks = listChecks(LISTS, 'v3');
    const check = checks.find(({ kind }) => kind === 'matmul');
    if (check?.kind !== 'matmul' || !check.measured) throw new Error('no measured MatMul');
    const bytes = readFile(check.file);
    const damaged = bytes.slice();
    damaged[damaged.length - 1] ^= 0x40;
    const { sha256: _, ...unsigned } = check;
    const measured = {
      ...check.measured,
      cycles: check.measured.cycles + 1,
      hwc: check.measured.hwc.map(([state, count], i): [number, number] => [
        state,
        i === 3 ? count + 1 : count,
      ]),
      tiles: check.measured.tiles.map((tile) => ({ ...tile, load_cycles: tile.load_cycles - 1 })),
    };
    const result = runCheck(
      accelerator,
      { ...unsigned, sha256: undefined, measured },
      new Map([[check.file, bytes]]),
    );
    expect(result).toMatchObject({
      passed: false,
      bitMismatches: 0,
      counterMismatches: 1,
      cycleMismatches: 2,
    });
    expect(() => runCheck(accelerator, check, new Map([[check.file, damaged]]))).toThrow(
      /DRIVER_BAD_VECTOR.*SHA-256/,
    );
    expect(() => runCheck(accelerator, check, new Map())).toThrow(/DRIVER_BAD_VECTOR.*missing/);

    const stream = checks.find(({ kind }) => kind === 'stream');
    if (stream?.kind !== 'stream') throw new Error('no stream');
    const expect1: [string, number][] = stream.stream.expect.map(([word, last], i) => [
      i === 2 ? '00000000' : word,
      i === 3 ? 1 : last,
    ]);
    const wrong = runCheck(
      accelerator,
      { ...stream, stream: { ...stream.stream, expect: expect1 } },
      new Map(),
    );
    expect(wrong).toMatchObject({ passed: false, bitMismatches: 2 });
  });

  it('compares NaN as a class and all else bit for bit', () => {
    const bits = (...values: number[]) => Uint32Array.from(values);
    expect(bitMismatches(bits(0x7fc0_0000, 0xffc0_0001), bits(0xffc0_0000, 0x7f80_0001))).toBe(0);
    expect(bitMismatches(bits(0x8000_0000, 0x7f80_0000), bits(0, 0x7fc0_0000))).toBe(2);
    expect(bitMismatches(bits(1, 2), bits(1))).toBe(1);
  });

  it.each([
    ['is too short', (bytes: Uint8Array) => bytes.subarray(0, 63), /has 63 bytes/],
    ['has another magic', (bytes: Uint8Array) => bytes.with(0, 0), /does not start like a vector/],
    ['has an unknown type', (bytes: Uint8Array) => bytes.with(8, 7), /weight type 7/],
    ['has lengths of another shape', (bytes: Uint8Array) => bytes.with(24, 1), /lengths that do not fit/],
    ['ends early', (bytes: Uint8Array) => bytes.subarray(0, bytes.length - 300), /no room for its results/],
  ])('refuses a file that %s', (_, damage, message) => {
    const bytes = damage(readFile('public_q2_00_gauss_small_M64_N1_K256.bin'));
    expect(() => readVector('damaged.bin', bytes)).toThrow(message);
  });

  it('refuses lists of another form', () => {
    expect(() => listChecks({ counters: [{ file: '../etc/passwd' }] }, 'v3')).toThrow(
      /DRIVER_BAD_VECTOR.*counters.json.*a plain file name/,
    );
  });
});
