import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { vectorTensor } from '../../../driver/self-test/vector.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { golden, load, multiply } from './golden.js';

const z1 = loadBoardDescription('pynq-z1');
const v1 = loadBoardDescription('pynq-z1-v1');

function open(description = z1): Accelerator {
  return new Accelerator(openMockBoard(description));
}

/** What one call adds to the traffic. */
function trafficOf(accelerator: Accelerator, call: () => void) {
  const before = { ...accelerator.traffic };
  call();
  const { registerReads, registerWrites, dmaTransfers, tiles } = accelerator.traffic;
  return {
    transfers: dmaTransfers - before.dmaTransfers,
    writes: registerWrites - before.registerWrites,
    reads: registerReads - before.registerReads,
    tiles: tiles - before.tiles,
  };
}

describe('a MatMul', () => {
  it.each([
    ['v3', 'resident'],
    ['v3', 'staged'],
    ['v1', 'resident'],
    ['v1', 'staged'],
  ] as const)('of several tiles gives the golden bits on %s, %s', (revision, placement) => {
    const accelerator = open(revision === 'v1' ? v1 : z1);
    const vector = golden('q3_15');
    const program = load(accelerator, vector, placement);
    expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
    expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
  });

  it('shares one input between programs', () => {
    const accelerator = open();
    const vector = golden('q3_01');
    const other = golden('q6_01');
    const programs = [
      load(accelerator, vector, 'resident'),
      load(accelerator, other, 'staged'),
      load(accelerator, vector, 'staged'),
    ];
    const outputs = programs.map(() => new Float32Array(130));
    accelerator.multiply(programs, 1, (blocks) => blocks.set(vector.inputBlocks), outputs);
    const alone = new Float32Array(130);
    accelerator.multiply([programs[1]], 1, (blocks) => blocks.set(vector.inputBlocks), [alone]);
    const bits = outputs.map((output) => new Uint32Array(output.buffer));
    expect(bits[0]).toEqual(vector.expected);
    expect(bits[1]).toEqual(new Uint32Array(alone.buffer));
    expect(bits[2]).toEqual(vector.expected);
  });

  it('of more columns than the core holds is split', () => {
    const accelerator = open();
    const vector = golden('q3_16');
    const { inputBlocks } = accelerator.board.description.capacity;
    expect(vector.inputs).toBe(Math.floor((inputBlocks * 256) / vector.columns));
    const program = load(accelerator, vector, 'resident');
    const output = new Float32Array(3 * vector.expected.length);
    const fill = (blocks: Uint8Array) => {
      for (let i = 0; i < 3; i++) blocks.set(vector.inputBlocks, i * vector.inputBlocks.length);
    };
    accelerator.multiply([program], 3 * vector.inputs, fill, [output]);
    for (let i = 0; i < 3; i++) {
      const part = output.subarray(i * vector.expected.length, (i + 1) * vector.expected.length);
      expect(new Uint32Array(part.slice().buffer)).toEqual(vector.expected);
    }
  });

  it.each(['resident', 'staged'] as const)(
    'with a 14-bit LENGTH splits transfers and columns, %s',
    (placement) => {
      const accelerator = open({ ...z1, dma: { ...z1.dma, lengthBits: 14 } });
      for (const name of ['q6_16', 'q3_15', 'q5_01']) {
        const vector = golden(name);
        expect(multiply(accelerator, load(accelerator, vector, placement), vector)).toEqual(vector.expected);
      }
    },
  );

  it('works after the inputs could not be written', () => {
    const accelerator = open();
    const vector = golden('q2_00');
    const program = load(accelerator, vector, 'resident');
    const fill = () => {
      throw new Error('no inputs today');
    };
    expect(() => accelerator.multiply([program], 1, fill, [new Float32Array(64)])).toThrow('no inputs today');
    expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
  });
});

describe('the cost of a step', () => {
  // Written for each transfer: address and LENGTH; and once for each whose end is looked for, where an earlier one of the
  // channel may show: here for the results of all tiles but the first, no transfer having ended before. Read: DMASR twice for
  // inputs and each tile, because the mock asks in vain at first, and the LENGTH of results that were waited for.
  it.each([
    ['v3', 'resident', 2, 3],
    ['v3', 'staged', 5, 0],
    ['v1', 'resident', 2, 0],
    ['v1', 'staged', 2, 0],
  ] as const)(
    'is known to the register access on %s, %s: %i transfers a tile and %i a tensor',
    (revision, placement, perTile, perTensor) => {
      const accelerator = open(revision === 'v1' ? v1 : z1);
      const vector = golden('q3_15');
      const program = load(accelerator, vector, placement);
      const cost = trafficOf(accelerator, () => multiply(accelerator, program, vector));
      const transfers = 1 + 4 * perTile + perTensor;
      expect(cost).toEqual({ tiles: 4, transfers, writes: 2 * transfers + 3, reads: 2 + 4 * 3 });
    },
  );

  it('has one transfer more for each further program of a call', () => {
    const accelerator = open();
    const vector = golden('q3_00');
    const program = load(accelerator, vector, 'resident');
    const cost = trafficOf(accelerator, () =>
      accelerator.multiply([program, program], 1, (blocks) => blocks.set(vector.inputBlocks), [
        new Float32Array(64),
        new Float32Array(64),
      ]),
    );
    expect(cost.transfers).toBe(1 + 5 + 1 + 5);
  });

  it('counts bytes both ways and the multiply-adds', () => {
    const accelerator = open();
    const vector = golden('q3_00');
    const program = load(accelerator, vector, 'staged');
    const before = { ...accelerator.traffic };
    multiply(accelerator, program, vector);
    const { traffic } = accelerator;
    expect(traffic.dmaBytesFromDevice - before.dmaBytesFromDevice).toBe(64 * 4);
    expect(traffic.dmaBytesToDevice - before.dmaBytesToDevice).toBe((6 + 73 + 12 + 64 * 28) * 4);
    expect(traffic.multiplyAdds - before.multiplyAdds).toBe(64 * 256);
  });
});

describe('memory', () => {
  it('comes back when programs are unloaded and when the accelerator is closed', () => {
    const board = openMockBoard(z1);
    const before = board.dmaMemory().free;
    const accelerator = new Accelerator(board);
    const working = before - board.dmaMemory().free;
    const program = load(accelerator, golden('q3_15'), 'resident');
    load(accelerator, golden('q3_01'), 'resident');
    accelerator.unload(program);
    accelerator.unload(program);
    expect(() => multiply(accelerator, program, golden('q3_15'))).toThrow(/DRIVER_CLOSED.*unloaded/);
    accelerator.close();
    expect(board.dmaMemory().free).toBe(before);
    expect(working).toBeLessThan(3 * 1024 * 1024);
    expect(() => accelerator.reset()).toThrow(/DRIVER_CLOSED/);
  });

  it('is what the plan says', () => {
    const board = openMockBoard(z1);
    const accelerator = new Accelerator(board);
    const vector = golden('q6_01');
    const tensor = vectorTensor('golden', vector);
    const plan = accelerator.plan([tensor]);
    const before = board.dmaMemory().free;
    const program = accelerator.load(tensor, 'resident');
    expect(plan.tensors[0]).toMatchObject({ placement: 'resident', bytes: program.bytes });
    expect(plan.dmaMemory.free).toBe(board.dmaMemory().free);
    expect(before - board.dmaMemory().free).toBe(Math.ceil(program.bytes / 64) * 64);
  });

  it('that is full ends in a typed error and leaves nothing allocated', () => {
    const board = openMockBoard({ ...z1, dmaMemory: [{ base: 0x1800_0000, size: 4 * 1024 * 1024 }] });
    const accelerator = new Accelerator(board);
    const { free } = board.dmaMemory();
    const big = { ...vectorTensor('big', golden('q3_01')), rows: 130 * 100 };
    expect(() => accelerator.load(big, 'resident')).toThrow(/DRIVER_DMA_MEMORY_FULL/);
    expect(board.dmaMemory().free).toBe(free);
  });

  it('is given back when a tensor cannot be read', () => {
    const board = openMockBoard(z1);
    const accelerator = new Accelerator(board);
    const { free } = board.dmaMemory();
    const broken = {
      ...vectorTensor('broken', golden('q3_01')),
      readRows() {
        throw new Error('bad disk');
      },
    };
    expect(() => accelerator.load(broken, 'resident')).toThrow('bad disk');
    expect(board.dmaMemory().free).toBe(free);
  });
});

describe('arguments', () => {
  it('that do not fit are refused before the device is touched', () => {
    const accelerator = open();
    const small = load(accelerator, golden('q3_00'), 'resident');
    const long = load(accelerator, golden('q3_01'), 'resident');
    const writes = accelerator.traffic.registerWrites;
    const output = new Float32Array(64);
    const fill = () => {};
    expect(() => accelerator.multiply([], 1, fill, [])).toThrow(/DRIVER_BAD_ARGUMENT.*0 programs/);
    expect(() => accelerator.multiply([small], 0, fill, [output])).toThrow(/n = 0/);
    expect(() => accelerator.multiply([small], 1.5, fill, [output])).toThrow(/n = 1.5/);
    expect(() => accelerator.multiply([small], 2, fill, [output])).toThrow(/room for 64 of the 128 results/);
    expect(() => accelerator.multiply([small, long], 1, fill, [output, output])).toThrow(/K = 256 and 2048/);
    expect(accelerator.traffic.registerWrites).toBe(writes);
  });

  it('refuses tensors that the core cannot take', () => {
    expect(() => open(v1).load(vectorTensor('t', golden('q4_00')), 'resident')).toThrow(
      /DRIVER_UNSUPPORTED_TENSOR.*scale bit 6 stays stale/,
    );
  });
});
