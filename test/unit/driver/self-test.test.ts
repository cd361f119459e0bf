import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { filesOf, listChecks, type SelfTestCheck } from '../../../driver/self-test/checks.js';
import { runCheck } from '../../../driver/self-test/run-check.js';
import { bitMismatches, readVector } from '../../../driver/self-test/vector.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { LISTS, readFile } from './golden.js';

/** In the timing of the vectors. */
const Z1 = { ...loadBoardDescription('pynq-z1'), timing: 'systemc' } as const;

describe('the self-test', () => {
  it.each([
    ['pynq-z1', 'systemc'],
    ['pynq-z1', 'synthesised'],
    ['pynq-z1-v1', 'systemc'],
    ['kv260-2026-v3', 'systemc'],
    ['kv260-2026-v3', 'synthesised'],
    ['kv260-2026-v4', 'synthesised'],
  ] as const)(
    'passes every golden MatMul, counter table and stream on %s in the %s timing',
    (name, timing) => {
      const description = { ...loadBoardDescription(name), timing };
      const accelerator = new Accelerator(openMockBoard(description));
      const checks = listChecks(LISTS, description.revision);
      const isV4 = description.revision === 'v4';
      expect(checks.filter(({ kind }) => kind === 'stream')).toHaveLength(isV4 ? 42 : 47);
      expect(checks.filter(({ kind }) => kind === 'counters')).toHaveLength(36);
      expect(checks.filter(({ kind }) => kind === 'softmax')).toHaveLength(isV4 ? 28 : 0);
      const failed = checks
        .map((check) =>
          runCheck(accelerator, check, new Map(filesOf(check).map((file) => [file, readFile(file)]))),
        )
        .filter(({ passed }) => !passed);
      expect(failed).toEqual([]);
      const { counters } = new Accelerator(openMockBoard(description));
      expect(accelerator.counters.getTargets()).toEqual(counters.getTargets());
    },
  );

  describe('of SOFT_MAX', () => {
    const checks = listChecks(LISTS, 'v4').filter((check) => check.kind === 'softmax');
    const accelerator = new Accelerator(openMockBoard(loadBoardDescription('kv260-2026-v4')));
    const run = (check: SelfTestCheck) => runCheck(accelerator, check, new Map());

    it.each(checks)('has the golden bits: $name', (check) => {
      const { vector } = check;
      expect(run(check)).toEqual({
        name: check.name,
        passed: true,
        bitMismatches: 0,
        counterMismatches: 0,
        cycleMismatches: 0,
        softMax: { results: vector.expect.split(' ').length, outside: 0, otherBits: 0 },
        details: [],
      });
    });

    /** Of three equal elements: one third is 0x3eaaaaab. */
    const thirds = (expected: string) => {
      const [one, scale] = ['3f800000', '3f800000'];
      const vector = { name: 'thirds', width: 3, scale, slope: scale, elements: `${one} ${one} ${one}` };
      return { kind: 'softmax' as const, name: 'thirds', vector: { ...vector, expect: expected } };
    };

    it.each([
      ['the same bits', '3eaaaaab 3eaaaaab 3eaaaaab', [0, 0]],
      ['2e-7 of the result more', '3eaaaaab 3eaaaaad 3eaaaaab', [0, 1]],
      ['1e-6 of the result less', '3eaaaaa0 3eaaaaab 3eaaaaab', [0, 1]],
      ['3e-6 of the result more', '3eaaaacb 3eaaaaab 3eaaaaab', [1, 0]],
      ['NaN', '7fc00000 3eaaaaab 3eaaaaaa', [1, 1]],
      ['infinities', '7f800000 ff800000 3eaaaaab', [2, 0]],
    ] as const)('allows 1e-6 of a result: %s', (_, expected, [outside, otherBits]) => {
      const result = run(thirds(expected));
      expect(result).toMatchObject({
        passed: outside === 0,
        bitMismatches: 0,
        softMax: { results: 3, outside, otherBits },
      });
      expect(result.details).toHaveLength(outside > 0 ? 1 : 0);
    });

    it('allows 1e-7 of results that are smaller than that', () => {
      const small = (expected: string) => {
        const { vector, ...check } = thirds(expected);
        return run({ ...check, vector: { ...vector, elements: '42000000 00000000 00000000' } });
      };
      // e^-32 = 1.3e-14.
      expect(small('3f800000 00000000 33000000').softMax).toEqual({ results: 3, outside: 0, otherBits: 2 });
      expect(small('3f800000 00000000 34000000').softMax).toEqual({ results: 3, outside: 1, otherBits: 1 });
    });

    it('is a case also where the device does not finish it, or its parts do not fit', () => {
      const { board } = accelerator;
      const broken = openMockBoard(board.description, { faults: [{ name: 'no-tlast' }] });
      const check = thirds('3eaaaaab 3eaaaaab 3eaaaaab');
      expect(runCheck(new Accelerator(broken), check, new Map())).toMatchObject({
        passed: false,
        error: expect.stringMatching(/DRIVER_RESULT_WITHOUT_TLAST/),
        softMax: { results: 0, outside: 0, otherBits: 0 },
      });
      expect(run(thirds('3eaaaaab'))).toMatchObject({
        passed: false,
        error: expect.stringMatching(/DRIVER_BAD_VECTOR.*thirds/),
      });
    });

    it.each([
      ['no words', ''],
      ['a short word', '3f800000 3f8 3f800000'],
      ['a word that is no number', '3f800000 3f8000zz 3f800000'],
      ['megabytes of words', '3f800000 '.repeat(900_000)],
    ])('fails a case with %s', (_, elements) => {
      const { vector, ...check } = thirds('3eaaaaab 3eaaaaab 3eaaaaab');
      expect(run({ ...check, vector: { ...vector, elements } })).toMatchObject({
        passed: false,
        error: expect.stringMatching(/DRIVER_BAD_VECTOR.*thirds.*8 hexadecimal digits/),
      });
    });

    it('refuses a list that is not as documented', () => {
      const { vector } = thirds('3eaaaaab 3eaaaaab 3eaaaaab');
      for (const spoilt of [
        { ...vector, scale: '1.0' },
        { ...vector, width: 0 },
      ])
        expect(() => listChecks({ softmax: [spoilt] }, 'v4')).toThrow(/DRIVER_BAD_VECTOR.*softmax.json/);
      expect(() => listChecks({ softmax: [vector] }, 'v3')).toThrow(/nothing would be checked/);
    });
  });

  it('compares what a list has, where entries lack a digest, tiles, counters or status', () => {
    const accelerator = new Accelerator(openMockBoard(Z1));
    const onTile = () => {};
    accelerator.onTile = onTile;
    const [full] = listChecks(LISTS, 'v3');
    if (full.kind !== 'matmul' || !full.measured) throw new Error('no measured MatMul');
    const { file } = full;
    const { cycles } = full.measured;
    const index = {
      cases: [
        { file, cls: 'new', v3: { cycles }, v3_preload: { cycles: cycles + 3 } },
        { file, cls: 'wrong', v3: { cycles: cycles + 1 } },
      ],
    };
    const results = listChecks({ index }, 'v3').map((check) =>
      runCheck(accelerator, check, new Map([[file, readFile(file)]])),
    );
    expect(results.map(({ passed, cycleMismatches }) => [passed, cycleMismatches])).toEqual([
      [true, 0],
      [true, 0],
      [false, 1],
      // Nothing was measured of it.
      [true, 0],
    ]);
    // Who watches the tiles of all else goes on with it.
    expect(accelerator.onTile).toBe(onTile);
  });

  it('refuses lists without a check for the revision rather than to pass on nothing', () => {
    expect(() => listChecks({ index: { cases: [] } }, 'v3')).toThrow(/DRIVER_BAD_VECTOR.*revision v3/);
  });

  it('compares only counts and cycles where v1 computes Q5_K after Q6_K: its stale scale bit spoils the results', () => {
    const accelerator = new Accelerator(openMockBoard(loadBoardDescription('pynq-z1-v1')));
    const listed = (name: string) => {
      const found = listChecks(LISTS, 'v1').find(
        (check) => check.kind === 'matmul' && check.file.includes(name),
      );
      if (found?.kind !== 'matmul' || !found.measured) throw new Error(`no measured MatMul ${name}`);
      return { file: found.file, cycles: found.measured.cycles };
    };
    const { file, cycles: right } = listed('q5_03');
    const before = listed('q6_03').file;
    const files = new Map([file, before].map((name) => [name, readFile(name)]));
    const run = (cycles: number) => {
      const row = { file, revision: 'v1' as const, resident: false, cycles, counts: [], after: [before] };
      return runCheck(accelerator, { kind: 'counters', name: '', row }, files);
    };
    expect(run(right)).toMatchObject({ passed: true, details: [] });
    expect(run(right + 1)).toMatchObject({ passed: false, cycleMismatches: 1 });
  });

  it('sends what a stream has for a lane after what the core has not taken yet', () => {
    const accelerator = new Accelerator(openMockBoard(Z1));
    const block = (n: number) => Array<string>(n).fill('00000000').join(' ');
    const load = `00000002 00000002 00000000 0000001c 0000001c 00000000 00000000 ${block(28)}`;
    const check = {
      kind: 'stream' as const,
      name: 'two loads',
      stream: {
        name: 'two loads',
        ver: 3,
        steps: [
          { op: 'send' as const, dma: 1, words: block(28) },
          { op: 'send' as const, dma: 1, words: block(28) },
          {
            op: 'send' as const,
            dma: 0,
            words: `00000010 00000001 00000002 00000001 00000003 ${load} ${load}`,
          },
          { op: 'send' as const, dma: 2, words: '' },
          { op: 'run' as const, cycles: 1000 },
          { op: 'send' as const, dma: 0, words: '00000004 00000000 00000000 00000002 00000001' },
          { op: 'run' as const, cycles: 100 },
        ],
        expect: [
          ['00000000', 0],
          ['00000000', 1],
        ] as [string, number][],
        regs: [1, 1, 1, 1, 0, 0, 0, 0],
      },
    };
    expect(runCheck(accelerator, check, new Map())).toMatchObject({ passed: true, details: [] });
  });

  it('finds wrong bits, cycles, counters and packets', () => {
    const accelerator = new Accelerator(openMockBoard(Z1));
    const checks = listChecks(LISTS, 'v3');
    const check = checks.find(({ kind }) => kind === 'matmul');
    if (check?.kind !== 'matmul' || !check.measured) throw new Error('no measured MatMul');
    const bytes = readFile(check.file);
    // A result, and the same result where it is emitted.
    const flipped = (...words: readonly number[]) => {
      const damaged = bytes.slice();
      for (const word of words)
        damaged[new DataView(damaged.buffer, damaged.byteOffset).getUint32(4 * word, true)] ^= 1;
      return new Map([[check.file, damaged]]);
    };
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
    for (const words of [[10], [11], [10, 11]])
      expect(runCheck(accelerator, check, flipped(...words))).toMatchObject({
        passed: false,
        bitMismatches: 1,
        error: expect.stringMatching(/DRIVER_BAD_VECTOR.*SHA-256/),
      });
    const { sha256: __, ...trusted } = check;
    expect(runCheck(accelerator, trusted, flipped(11))).toMatchObject({ passed: false, bitMismatches: 1 });
    expect(runCheck(accelerator, check, new Map())).toMatchObject({
      passed: false,
      error: expect.stringMatching(/DRIVER_BAD_VECTOR.*missing/),
    });

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
