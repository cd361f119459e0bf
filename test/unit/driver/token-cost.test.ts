import { beforeAll, describe, expect, it } from 'vitest';
import { Accelerator, type MatMulProgram } from '../../../driver/accelerator.js';
import type { Traffic } from '../../../driver/traffic.js';
import { GgmlType } from '../../../gguf/types.js';
import { openLinuxBoard } from '../../../linux-device/index.js';
import {
  deviceTree,
  LOGIC_RUNS,
  MEBI,
  meminfo,
  type Tree,
  uDmaBuf,
  uio,
  windowsInUio,
} from '../linux-device/fake-machine.js';
import { NullMachine, nullZ1 } from '../linux-device/null-device.js';

const BASE = 0x1000_0000;
const SIZE = 128 * MEBI;
const MEMORY: Readonly<Record<string, Tree>> = {
  'u-dma-buf': uDmaBuf(BASE, SIZE),
  reserved: { ...uio(6, 'dma', BASE, SIZE), ...deviceTree({ base: BASE, size: SIZE }) },
};

type Placement = 'resident' | 'staged';
const LAYERS = 22;
/** The matrices of a layer of TinyLlama-1.1B as they share inputs: rows and columns of each. */
const LAYER = [
  [
    [2048, 2048],
    [256, 2048],
    [256, 2048],
  ],
  [[2048, 2048]],
  [
    [5632, 2048],
    [5632, 2048],
  ],
  [[2048, 5632]],
] as const;

function open(memory: Tree, watchesReads = false) {
  const machine = new NullMachine(
    {
      ...windowsInUio(nullZ1),
      ...LOGIC_RUNS,
      ...meminfo(131_072, 2048),
      ...memory,
    },
    watchesReads,
  );
  const description = { ...nullZ1, dmaMemory: [{ base: BASE, size: SIZE }] };
  return { machine, accelerator: new Accelerator(openLinuxBoard(description, { system: machine })) };
}

function load(accelerator: Accelerator, type: GgmlType, rows: number, columns: number, placement: Placement) {
  return accelerator.load({ name: `${rows}x${columns}`, type, rows, columns, readRows: () => {} }, placement);
}

/** What one call of everything adds to the traffic. */
function traffic(accelerator: Accelerator, groups: readonly MatMulProgram[][], columns: number): Traffic {
  const change = { ...accelerator.traffic };
  for (const programs of groups)
    accelerator.multiply(
      programs,
      columns,
      (blocks) => void blocks.fill(1),
      programs.map(({ rows }) => new Float32Array(rows * columns)),
    );
  for (const key of Object.keys(change) as (keyof Traffic)[])
    change[key] = accelerator.traffic[key] - change[key];
  return change;
}

/** Bytes that were synchronised, by the commands that were written. */
function synchronised({ written }: NullMachine): number {
  const commands = written.filter(({ path }) => path.includes('/sync_for_'));
  return commands.reduce((sum, { text }) => sum + (Number.parseInt(text.slice(10), 16) & ~15), 0);
}

describe.each(['u-dma-buf', 'reserved'] as const)(
  'a token of the dimensions of TinyLlama-1.1B in Q3_K_S, memory %s',
  (kind) => {
    let layer: Traffic;
    let output: Traffic;
    let wider: Traffic;
    let synced: number;

    beforeAll(() => {
      const { machine, accelerator } = open(MEMORY[kind]);
      const groups = LAYER.map((matrices) =>
        matrices.map(([rows, columns]) => load(accelerator, GgmlType.Q3_K, rows, columns, 'resident')),
      );
      const logits = [[load(accelerator, GgmlType.Q6_K, 32_000, 2048, 'resident')]];
      for (const all of [groups, logits]) traffic(accelerator, all, 1);
      machine.written.length = 0;
      layer = traffic(accelerator, groups, 1);
      synced = synchronised(machine);
      output = traffic(accelerator, logits, 1);
      wider = traffic(accelerator, groups, 2);
    });

    const token = (key: keyof Traffic) => LAYERS * layer[key] + output[key];

    it('takes at most 6.5 register accesses and 2.2 transfers a tile, all counted', () => {
      expect(token('tiles')).toBe(3968);
      expect((token('registerReads') + token('registerWrites')) / token('tiles')).toBeLessThanOrEqual(6.5);
      expect(token('dmaTransfers') / token('tiles')).toBeLessThanOrEqual(2.2);
    });

    it('hands over little more than inputs and results, each once', () => {
      const handed = token('bytesHandedToDevice') + token('bytesHandedToCpu');
      expect(handed).toBeLessThanOrEqual(2.5e6);
      expect(handed).toBeLessThanOrEqual(1.1 * (token('cpuBytesWritten') + token('cpuBytesRead')));
      const inputs = 292 * (8 + 8 + 8 + 22);
      expect(layer.cpuBytesWritten - inputs).toBeLessThan(7 * 64);
      expect(layer.cpuBytesRead).toBe(4 * LAYER.flat().reduce((sum, [rows]) => sum + rows, 0));
      // Inputs and results of each call.
      expect(layer.handOvers).toBe(2 * LAYER.length);
    });

    it('synchronises these bytes, or none where memory is not cached', () => {
      expect(synced).toBe(kind === 'reserved' ? 0 : layer.bytesHandedToDevice + layer.bytesHandedToCpu);
    });

    it('rewrites COMPUTE where the columns change, with one hand-over a tensor', () => {
      expect(wider.handOvers).toBe(2 * LAYER.length + LAYER.flat().length);
      expect(wider.cpuBytesWritten - 2 * layer.cpuBytesWritten).toBeLessThanOrEqual(layer.tiles * 5 * 4);
    });
  },
);

describe.each(Object.entries(MEMORY))('staged weights, memory %s', (_, tree) => {
  it('are handed over as the tile that is used, and nothing else', () => {
    const { accelerator } = open(tree);
    const program = load(accelerator, GgmlType.Q3_K, 1000, 2048, 'staged');
    traffic(accelerator, [[program]], 1);
    const once = traffic(accelerator, [[program]], 1);
    const words = program.bytes + 292 * 8 + 4000;
    expect(once.cpuBytesWritten + once.cpuBytesRead).toBeLessThan(words + 64);
    expect(once.bytesHandedToDevice + once.bytesHandedToCpu).toBeLessThanOrEqual(1.1 * words);
    expect(once.dmaTransfers).toBe(1 + 5 * once.tiles);
  });
});

describe('reserved memory', () => {
  it.each(['resident', 'staged'] as const)('is read for results alone, weights %s', (placement) => {
    const { machine, accelerator } = open(MEMORY.reserved, true);
    const programs = [300, 90].map((rows) => load(accelerator, GgmlType.Q3_K, rows, 1024, placement));
    expect(machine.readBytes).toBe(0);
    for (const columns of [1, 3, 1]) {
      machine.readBytes = 0;
      traffic(accelerator, [programs], columns);
      expect(machine.readBytes).toBe(4 * columns * (300 + 90));
    }
  });
});
