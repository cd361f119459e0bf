import { describe, expect, it } from 'vitest';
import type { BoardDescription } from '../../../board/description.js';
import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { plainSoftmax } from '../../reference/softmax/plain-softmax.js';
import { golden, load, multiply } from './golden.js';

const v4 = loadBoardDescription('kv260-2026-v4');

function open(description: BoardDescription = v4) {
  const board = openMockBoard(description);
  return { board, accelerator: new Accelerator(board) };
}

/** Elements that differ in every row. */
function elements(rows: number, width: number): Float32Array {
  return Float32Array.from({ length: rows * width }, (_, i) => Math.fround(((i * 37) % 101) / 8));
}

function expected(x: Float32Array, width: number, options: object = {}): Float32Array {
  const rows = Array.from({ length: x.length / width }, (_, row) => [
    ...x.subarray(row * width, (row + 1) * width),
  ]);
  return Float32Array.from(
    rows.flatMap((logits) => plainSoftmax({ logits, scale: 1, slope: 1, ...options })),
  );
}

function softMax(accelerator: Accelerator, x: Float32Array, width: number): Float32Array {
  const output = new Float32Array(x.length);
  accelerator.softMax(x, width, output);
  return output;
}

describe('softMax on revision v4', () => {
  // The golden cases are in self-test.test.ts: they too go through softMax.
  it.each([
    [1, 1],
    [3, 255],
    [2, 256],
    [2, 257],
    [1, 1000],
  ])('gives the bits of %i rows of %i elements', (rows, width) => {
    const { accelerator } = open();
    const x = elements(rows, width);
    expect(softMax(accelerator, x, width)).toEqual(expected(x, width));
  });

  it('writes results over the elements where it is told to, and nothing beyond them', () => {
    const { accelerator } = open();
    const x = elements(2, 300);
    const right = expected(x, 300);
    accelerator.softMax(x, 300, x);
    expect(x).toEqual(right);
    const larger = new Float32Array(601).fill(7);
    accelerator.softMax(elements(2, 300), 300, larger);
    expect(larger.subarray(0, 600)).toEqual(right);
    expect(larger[600]).toBe(7);
  });

  it('uses one mask for all rows, or one for each', () => {
    const { accelerator } = open();
    const width = 260;
    const x = elements(2, width);
    const mask = elements(1, width).map((value) => -value);
    const output = new Float32Array(x.length);
    accelerator.softMax(x, width, output, { mask, slope: 0.5, scale: 2, sink: 1 });
    const options = { slope: 0.5, scale: 2, sink: 1 };
    const right = expected(x, width, { ...options, mask: [...mask] });
    expect(output).toEqual(right);
    const both = Float32Array.from([...mask, ...mask]);
    accelerator.softMax(x, width, output, { ...options, mask: both });
    expect(output).toEqual(right);
    both.fill(0, width);
    accelerator.softMax(x, width, output, { ...options, mask: both });
    expect(output.subarray(0, width)).toEqual(right.subarray(0, width));
    expect(output.subarray(width)).toEqual(expected(x.subarray(width), width, options));
  });

  it('sends each tile twice and receives it once', () => {
    const { accelerator } = open();
    const before = { ...accelerator.traffic };
    softMax(accelerator, elements(2, 300), 300);
    const { dmaTransfers, dmaBytesToDevice, dmaBytesFromDevice } = accelerator.traffic;
    expect(dmaTransfers - before.dmaTransfers).toBe(2 * 2 * 3);
    expect(dmaBytesToDevice - before.dmaBytesToDevice).toBe(2 * 2 * 4 * (300 + 2 * 6));
    expect(dmaBytesFromDevice - before.dmaBytesFromDevice).toBe(2 * 4 * 300);
  });

  it('does nothing for no rows', () => {
    const { accelerator } = open();
    const before = { ...accelerator.traffic };
    softMax(accelerator, new Float32Array(), 10);
    expect(accelerator.traffic).toEqual(before);
  });

  it('works between MatMuls', () => {
    const { accelerator } = open();
    const vector = golden('q3_00');
    const program = load(accelerator, vector, 'resident');
    const x = elements(1, 300);
    for (let i = 0; i < 2; i++) {
      expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
      expect(softMax(accelerator, x, 300)).toEqual(expected(x, 300));
    }
  });

  it.each([
    [
      { name: 'dma-never-completes', channel: 'mm2s', after: 1 },
      /DRIVER_DMA_TIMEOUT.*SOFT_MAX elements of tile 1 of row 0/,
    ],
    [
      { name: 'dma-never-completes', channel: 's2mm' },
      /DRIVER_DMA_TIMEOUT.*SOFT_MAX results of tile 0 of row 0/,
    ],
    [{ name: 'dma-slave-error', after: 6 }, /DRIVER_DMA_SLAVE_ERROR.*of tile 0 of row 1/],
    [{ name: 'result-short' }, /DRIVER_RESULT_LENGTH/],
    [{ name: 'result-long' }, /DRIVER_RESULT_LENGTH/],
    [{ name: 'no-tlast' }, /DRIVER_RESULT_WITHOUT_TLAST/],
  ] as const)('reports the fault %o, recovers, and the next call works', (fault, message) => {
    const { board, accelerator } = open();
    const x = elements(2, 300);
    board.injectFault(fault);
    const from = board.now();
    expect(() => softMax(accelerator, x, 300)).toThrow(message);
    expect(board.now() - from).toBeLessThan(200_000);
    expect(softMax(accelerator, x, 300)).toEqual(expected(x, 300));
  });

  it.each([
    ['rows of no elements', [12, 0, 12, undefined], /rows of 0/],
    ['rows of a part of an element', [12, 1.5, 12, undefined], /rows of 1.5/],
    ['a part of a row', [12, 5, 12, undefined], /no whole rows/],
    ['too little room', [12, 6, 11, undefined], /room for 11 of the 12/],
    ['a mask that fits nothing', [12, 6, 12, 5], /a mask of 5 values/],
  ] as const)('refuses %s', (_, [count, width, room, mask], message) => {
    const { accelerator } = open();
    const options = mask === undefined ? {} : { mask: new Uint16Array(mask) };
    expect(() =>
      accelerator.softMax(new Float32Array(count), width, new Float32Array(room), options),
    ).toThrow(new RegExp(`DRIVER_BAD_ARGUMENT.*${message.source}`));
  });

  it('has room for a tile where the core holds a single block', () => {
    const { accelerator } = open({ ...v4, capacity: { weightBlocks: 1, inputBlocks: 1 } });
    const x = elements(1, 256);
    const output = new Float32Array(256);
    accelerator.softMax(x, 256, output, { mask: new Uint16Array(256) });
    expect(output).toEqual(expected(x, 256));
  });

  it('is closed with the accelerator', () => {
    const { accelerator } = open();
    accelerator.close();
    expect(() => softMax(accelerator, elements(1, 2), 2)).toThrow('DRIVER_CLOSED');
  });
});

describe('softMax elsewhere', () => {
  it.each(['pynq-z1-v1', 'pynq-z1', 'kv260', 'kv260-2026-v3'])(
    'is refused on %s, and nothing sent',
    (name) => {
      const { accelerator } = open(loadBoardDescription(name));
      const before = { ...accelerator.traffic };
      expect(() => softMax(accelerator, elements(1, 4), 4)).toThrow(/DRIVER_NO_SOFT_MAX.*revision v[13]/);
      expect(accelerator.traffic).toEqual(before);
    },
  );

  it('is refused where no registers show that the core is a v4', () => {
    const { hwc: _, ...windows } = v4.windows;
    const { accelerator } = open({ ...v4, windows });
    const before = { ...accelerator.traffic };
    expect(() => softMax(accelerator, elements(1, 4), 4)).toThrow(/DRIVER_NO_SOFT_MAX.*no counters/);
    expect(accelerator.traffic).toEqual(before);
  });
});
