import { describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import { openLinuxBoard } from '../../../linux-device/board.js';
import {
  deviceTree,
  FakeMachine,
  goodZ1,
  kv260,
  LOGIC_RUNS,
  MEBI,
  meminfo,
  type Tree,
  uio,
  windowsInUio,
  z1,
} from './fake-machine.js';

function thrown(action: () => unknown): PynqLlmError {
  try {
    action();
  } catch (error) {
    if (error instanceof PynqLlmError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

function without(tree: Record<string, string | Buffer>, ...prefixes: string[]) {
  return Object.fromEntries(
    Object.entries(tree).filter(([path]) => !prefixes.some((prefix) => path.startsWith(prefix))),
  );
}

describe('a PYNQ-Z1 with UIO and u-dma-buf', () => {
  it('opens, says what it found, and describes the memory that there is', () => {
    const board = openLinuxBoard(z1, { system: new FakeMachine(goodZ1) });
    expect(board.report).toEqual({
      memory: { kind: 'u-dma-buf', detail: 'udmabuf0 (128 MiB at 0x16800000)', passedOver: [] },
      windows: {
        control: '/dev/uio0',
        hwc: '/dev/uio1',
        dma0: '/dev/uio2',
        dma1: '/dev/uio3',
        dma2: '/dev/uio4',
        dma3: '/dev/uio5',
      },
      interrupts: 0,
      logic: { fpgaManager: 'fpga0', clockHz: 100_000_000 },
    });
    expect(board.description.dmaMemory).toEqual([{ base: 0x1680_0000, size: 128 * MEBI }]);
    expect(board.description.title).toContain('u-dma-buf');
    expect(board.dmaMemory()).toEqual({ total: 128 * MEBI, free: 128 * MEBI, largestFree: 128 * MEBI });
  });

  it('maps registers uncached and memory cached, and nothing that the description does not declare', () => {
    const machine = new FakeMachine({ ...goodZ1, ...uio(9, 'other', 0x4120_0000, 0x1_0000) });
    openLinuxBoard(z1, { system: machine });
    expect(machine.mappedNodes).toEqual([
      ...['/dev/uio0', '/dev/uio1', '/dev/uio2', '/dev/uio3', '/dev/uio4', '/dev/uio5'],
      '/dev/udmabuf0',
    ]);
    expect(machine.maps.filter(({ cached }) => cached).map(({ path }) => path)).toEqual(['/dev/udmabuf0']);
    expect(machine.maps.some(({ path }) => path === '/dev/uio9')).toBe(false);
  });

  it('reads and writes registers as unsigned 32-bit words at their offsets', () => {
    const machine = new FakeMachine(goodZ1);
    const dma1 = openLinuxBoard(z1, { system: machine }).window('dma1');
    dma1.write32(0x28, 0xffff_fffe);
    expect(machine.mapped('/dev/uio3').words[10]).toBe(-2);
    expect(dma1.read32(0x28)).toBe(0xffff_fffe);
    expect({ name: dma1.name, base: dma1.base, size: dma1.size }).toEqual({
      name: 'dma1',
      base: 0x4041_0000,
      size: 0x1_0000,
    });
  });

  it.each([
    [2, 'DRIVER_UNALIGNED_ADDRESS'],
    [0x1_0000, 'DRIVER_ADDRESS_OUT_OF_RANGE'],
    [-4, 'DRIVER_ADDRESS_OUT_OF_RANGE'],
    [Number.NaN, 'DRIVER_UNALIGNED_ADDRESS'],
  ])('refuses the register offset %d', (offset, code) => {
    const window = openLinuxBoard(z1, { system: new FakeMachine(goodZ1) }).window('control');
    expect(() => window.read32(offset)).toThrow(code);
    expect(() => window.write32(offset, 0)).toThrow(code);
  });

  it('knows no window that was not declared', () => {
    const board = openLinuxBoard(z1, { system: new FakeMachine(goodZ1) });
    expect(() => board.window('dma9')).toThrow('DRIVER_UNKNOWN_WINDOW');
  });

  it('finds a window within a larger UIO map, from the page where the map begins', () => {
    const tree = { ...without(goodZ1, '/sys/class/uio'), ...uio(0, 'all', 0x4000_0000, 0x0800_0000) };
    const machine = new FakeMachine(tree);
    openLinuxBoard(z1, { system: machine }).window('hwc').write32(4, 77);
    const hwc = machine.maps[1];
    expect(hwc).toMatchObject({ path: '/dev/uio0', offset: 0, length: 0x03c1_0000 + 0x1_0000 });
    expect(hwc.mapping.words[0x03c1_0000 / 4 + 1]).toBe(77);
  });
});

describe('a closed board', () => {
  it('stops the DMA engines, unmaps everything and closes every descriptor', () => {
    const machine = new FakeMachine(goodZ1);
    const board = openLinuxBoard(z1, { system: machine });
    const engines = [2, 3, 4, 5].map((i) => machine.mapped(`/dev/uio${i}`).words);
    board.close();
    board.close();
    expect(engines.map((words) => words[0])).toEqual([4, 4, 4, 4]);
    expect(machine.mappedNodes).toEqual([]);
    expect(machine.opened.size).toBe(0);
  });

  it('does not touch logic that was taken away while it was open', () => {
    const machine = new FakeMachine(goodZ1);
    const board = openLinuxBoard(z1, { system: machine });
    const { words } = machine.mapped('/dev/uio2');
    machine.volume.writeFileSync('/sys/class/fpga_manager/fpga0/state', 'write init\n');
    board.close();
    expect(words[0]).toBe(0);
    expect(machine.mappedNodes).toEqual([]);
  });

  it('refuses registers, memory and waiting, and lets buffers be freed', () => {
    const board = openLinuxBoard(z1, { system: new FakeMachine(goodZ1) });
    const window = board.window('control');
    const mine = board.allocate(64);
    const lent = board.allocate(64);
    lent.giveToDevice();
    board.close();
    for (const use of [
      () => window.read32(0),
      () => window.write32(0, 1),
      () => board.allocate(64),
      () => board.waitUntil(() => true, 1),
      () => board.resetLogic(),
      () => mine.read(0, new Uint8Array(1)),
      () => mine.giveToDevice(),
    ])
      expect(use).toThrow('LINUX_CLOSED');
    mine.free();
    lent.free();
  });
});

describe('before programmable logic is touched', () => {
  it.each([
    ['unknown', 'state "unknown"'],
    ['write error', 'state "write error"'],
  ])('a logic in the state "%s" is refused and nothing is mapped', (state, text) => {
    const machine = new FakeMachine({ ...goodZ1, '/sys/class/fpga_manager/fpga0/state': `${state}\n` });
    const error = thrown(() => openLinuxBoard(z1, { system: machine }));
    expect(error.code).toBe('LINUX_LOGIC_NOT_CONFIGURED');
    expect(error.message).toContain(text);
    expect(machine.maps).toEqual([]);
  });

  it('a kernel without FPGA manager is refused', () => {
    const machine = new FakeMachine(without(goodZ1, '/sys/class/fpga_manager'));
    expect(() => openLinuxBoard(z1, { system: machine })).toThrow(
      /LINUX_LOGIC_NOT_CONFIGURED.*no FPGA manager/,
    );
  });

  it('a stopped clock is refused', () => {
    const machine = new FakeMachine({ ...goodZ1, '/sys/kernel/debug/clk/fclk0/clk_rate': '0\n' });
    expect(() => openLinuxBoard(z1, { system: machine })).toThrow('LINUX_CLOCK_STOPPED');
  });

  it('the clock that drives the core counts, not another', () => {
    const machine = new FakeMachine({ ...goodZ1, '/sys/kernel/debug/clk/fclk1/clk_rate': '0\n' });
    expect(openLinuxBoard(z1, { system: machine }).report.logic.clockHz).toBe(100_000_000);
    const onFclk1 = { ...z1, fpga: { part: '7z020', clock: 1 as const } };
    expect(() => openLinuxBoard(onFclk1, { system: machine })).toThrow(/LINUX_CLOCK_STOPPED.*fclk1/);
  });

  it('a clock that this user may not see is reported as unknown', () => {
    const machine = new FakeMachine(without(goodZ1, '/sys/kernel'));
    expect(openLinuxBoard(z1, { system: machine }).report.logic.clockHz).toBeUndefined();
  });

  it('windows outside of the logic need no bitstream', () => {
    const windows = Object.fromEntries(
      Object.keys(z1.windows).map((name, i) => [name, { base: 0x1bff_0000 + i * 4096, size: 4096 }]),
    );
    const tree = {
      ...without(goodZ1, '/sys/class/fpga_manager', '/sys/class/uio'),
      ...uio(0, 'fakeip', 0x1bff_0000, 0x1_0000),
    };
    const board = openLinuxBoard({ ...z1, windows }, { system: new FakeMachine(tree) });
    expect(board.report.logic.fpgaManager).toBeUndefined();
  });

  it.each([
    ['arm64', /LINUX_WRONG_MACHINE.*runs Linux on arm; this machine runs linux on arm64/],
    ['x64', /LINUX_WRONG_MACHINE.*on x64/],
  ])('a machine of architecture %s is no PYNQ-Z1', (arch, message) => {
    expect(() => openLinuxBoard(z1, { system: new FakeMachine(goodZ1, arch) })).toThrow(message);
  });
});

describe('a board with a missing driver', () => {
  const noUio = without(goodZ1, '/sys/class/uio', '/dev/uio');

  it('names the module to load and the device tree node to add', () => {
    const error = thrown(() => openLinuxBoard(z1, { system: new FakeMachine(noUio) }));
    expect(error.code).toBe('LINUX_WINDOW_NOT_FOUND');
    expect(error.message).toContain('modprobe uio_pdrv_genirq of_id=generic-uio');
    expect(error.message).toContain(
      'control@43c00000 { compatible = "generic-uio"; reg = <0x43c00000 0x10000>; };',
    );
  });

  it('names the UIO devices that there are when none of them fits, and unmaps what was mapped', () => {
    const machine = new FakeMachine({
      ...goodZ1,
      '/sys/class/uio/uio5/maps/map0/addr': '0x40440000\n',
    });
    const error = thrown(() => openLinuxBoard(z1, { system: machine }));
    expect(error.message).toMatch(
      /LINUX_WINDOW_NOT_FOUND.*dma3.*\/dev\/uio5 dma3 \(0x10000 bytes at 0x40440000\)/,
    );
    expect(machine.mappedNodes).toEqual([]);
  });

  it('maps /dev/mem at the windows, if and only if that is allowed', () => {
    const machine = new FakeMachine(noUio);
    const board = openLinuxBoard(z1, { system: machine, devmem: true });
    expect(board.report.windows).toMatchObject({ control: '/dev/mem', dma3: '/dev/mem' });
    board.window('dma0').write32(0, 9);
    expect(machine.mapped('/dev/mem', 0x4040_0000).words[0]).toBe(9);
    expect(machine.maps.filter(({ path }) => path === '/dev/mem').map(({ length }) => length)).toEqual(
      Array(6).fill(0x1_0000),
    );
  });

  it('says which sysfs file is not as it should be', () => {
    const machine = new FakeMachine({ ...goodZ1, '/sys/class/uio/uio1/maps/map0/size': 'large\n' });
    expect(() => openLinuxBoard(z1, { system: machine })).toThrow(
      /LINUX_SYSFS_UNREADABLE.*uio1\/maps\/map0\/size holds "large"/,
    );
  });
});

describe('a KV260 with its memory reserved for UIO', () => {
  const { base, size } = kv260.dmaMemory[0];
  const tree: Tree = {
    ...windowsInUio(kv260),
    ...uio(6, 'dma-memory', base, size),
    ...LOGIC_RUNS,
    ...meminfo(0, 0),
    ...deviceTree({ base, size }),
    '/sys/kernel/debug/clk/pl0_ref/clk_rate': '99999001\n',
  };
  tree['/proc/device-tree/memory@0/reg'] = Buffer.from('0000000080000000', 'hex');

  it('opens and hands out memory of the region', () => {
    const board = openLinuxBoard(kv260, { system: new FakeMachine(tree, 'arm64') });
    expect(board.report.memory).toMatchObject({
      kind: 'reserved',
      passedOver: ['u-dma-buf: no u-dma-buf device (/sys/class/u-dma-buf is not there)'],
    });
    expect(board.report.logic.clockHz).toBe(99_999_001);
    expect(board.allocate(100).physicalAddress).toBe(base);
    expect(board.keepsMemory).toBe(true);
    expect(board.allocate(100).physicalAddress).toBe(base + 128);
  });
});

describe('resetting the logic', () => {
  const withSlcr = { ...z1, windows: { ...z1.windows, slcr: { base: 0xf800_0000, size: 4096 } } };
  const open = (shifters = 0xf, resets = 0x01f3_3f00, throttle = 0) => {
    const machine = new FakeMachine(goodZ1);
    const { map } = machine.mapper;
    machine.mapper.map = (request) => {
      const mapping = map(request);
      if (request.offset === 0xf800_0000) {
        mapping.words[0x900 / 4] = shifters;
        mapping.words[0x240 / 4] = resets;
        mapping.words[0x178 / 4] = throttle;
      }
      return mapping;
    };
    return { machine, board: openLinuxBoard(withSlcr, { system: machine, devmem: true }) };
  };

  it('pulses the reset outputs of a Zynq-7000 that declares its control registers', () => {
    const { machine, board } = open();
    const slcr = machine.mapped('/dev/mem', 0xf800_0000).words;
    board.resetLogic();
    expect(slcr[0x008 / 4]).toBe(0xdf0d);
    expect(slcr[0x240 / 4]).toBe(0x01f3_3f00);
  });

  it('is an error where the board declares no way', () => {
    const board = openLinuxBoard(z1, { system: new FakeMachine(goodZ1) });
    expect(() => board.resetLogic()).toThrow('LINUX_LOGIC_RESET_UNAVAILABLE');
  });

  it('declared control registers show logic that is cut off, held in reset or without clock', () => {
    expect(() => open(0)).toThrow(/LINUX_LOGIC_NOT_CONFIGURED.*LVL_SHFTR_EN/);
    expect(() => open(0xf, 0x01f3_3f0f)).toThrow(/LINUX_LOGIC_NOT_CONFIGURED.*FPGA_RST_CTRL/);
    expect(() => open(0xf, 0x01f3_3f00, 1)).toThrow('LINUX_CLOCK_STOPPED');
  });
});
