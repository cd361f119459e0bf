import { describe, expect, it } from 'vitest';
import { leastMemory } from '../../../driver/working-memory.js';
import { openLinuxBoard } from '../../../linux-device/board.js';
import type { XrtBuffer, XrtLibrary } from '../../../linux-device/xrt.js';
import { contents, fill } from '../board/contents.js';
import {
  cells,
  deviceTree,
  FakeMachine,
  goodZ1,
  LOGIC_RUNS,
  MEBI,
  meminfo,
  type Tree,
  uDmaBuf,
  uio,
  windowsInUio,
  z1,
} from './fake-machine.js';

const { base, size } = z1.dmaMemory[0];
/** A PYNQ-Z1 without any DMA memory. */
const bare: Tree = { ...windowsInUio(z1), ...LOGIC_RUNS, ...meminfo(131072, 102400) };

function open(tree: Tree, options: Parameters<typeof openLinuxBoard>[1] = {}) {
  const machine = new FakeMachine(tree);
  return { machine, board: openLinuxBoard(z1, { least: leastMemory(z1), system: machine, ...options }) };
}

describe('memory of u-dma-buf', () => {
  it('is synchronised with one write each time it changes hands, in whole cache lines', () => {
    const { machine, board } = open(goodZ1);
    board.allocate(4096);
    expect(board.keepsMemory).toBe(false);
    const buffer = board.allocate(100);
    fill(buffer, 7);
    buffer.giveToDevice();
    buffer.giveToDevice();
    buffer.giveToCpu();
    buffer.giveToCpu();
    expect(machine.written.filter(({ path }) => path.includes('sync'))).toEqual([
      { path: '/sys/class/u-dma-buf/udmabuf0/sync_for_device', text: '0x0000100000000081' },
      { path: '/sys/class/u-dma-buf/udmabuf0/sync_for_cpu', text: '0x0000100000000081' },
    ]);
    expect(machine.mapped('/dev/udmabuf0').bytes.subarray(4095, 4197)).toEqual(
      Uint8Array.from({ length: 102 }, (_, i) => (i > 0 && i < 101 ? 7 : 0)),
    );
  });

  it('is not handed over when the kernel refuses to synchronise it', () => {
    const { machine, board } = open(goodZ1);
    const buffer = board.allocate(64);
    machine.denied.add('write /sys/class/u-dma-buf/udmabuf0/sync_for_device');
    expect(() => buffer.giveToDevice()).toThrow(/LINUX_SYNC_FAILED.*udmabuf0 refused bytes 0 to 64: EINVAL/);
    expect(buffer.ownerOf()).toBe('cpu');
  });

  it('may be several devices, in the order of their numbers', () => {
    const { board } = open({
      ...bare,
      ...uDmaBuf(0x1000_0000, 16 * MEBI, { name: 'udmabuf10' }),
      ...uDmaBuf(0x1800_0000, 8 * MEBI, { name: 'udmabuf2' }),
    });
    expect(board.description.dmaMemory.map(({ base }) => base)).toEqual([0x1800_0000, 0x1000_0000]);
    expect(board.allocate(12 * MEBI).physicalAddress).toBe(0x1000_0000);
  });

  it('needs no synchronisation in the modes that turn the cache off', () => {
    const { machine, board } = open({ ...bare, ...uDmaBuf(base, 32 * MEBI, { mode: 5 }) });
    const buffer = board.allocate(64);
    buffer.write(0, Uint8Array.of(1));
    buffer.giveToDevice();
    expect(machine.written.filter(({ path }) => path.includes('sync'))).toEqual([]);
    expect(machine.mapped('/dev/udmabuf0').words[0]).toBe(1);
  });

  it('is an error, and passed over by nothing, when this user may not open it', () => {
    const machine = new FakeMachine(goodZ1);
    machine.denied.add('/sys/class/u-dma-buf/udmabuf0/sync_for_cpu');
    expect(() => openLinuxBoard(z1, { least: leastMemory(z1), system: machine })).toThrow(
      /LINUX_OPEN_FAILED.*permission is denied \(EACCES\)/,
    );
    expect(machine.mappedNodes).toEqual([]);
    expect(machine.opened.size).toBe(0);
  });

  it('beyond 4 GiB is refused: the core does not reach it', () => {
    expect(() => open({ ...bare, ...uDmaBuf(0xffff_0000, 32 * MEBI) })).toThrow(
      /LINUX_PHYSICAL_ADDRESS_UNKNOWN.*beyond 4 GiB/,
    );
  });
});

describe('a board with too little memory', () => {
  it('is told how much is needed, what there is and which boot argument and module option help', () => {
    const tree = { ...bare, ...meminfo(16384, 12288), ...uDmaBuf(0x1f00_0000, 2 * MEBI) };
    expect(() => open(tree)).toThrow(
      /LINUX_DMA_MEMORY_SHORT.*needs \d+ (bytes|KiB) of DMA memory at least \(.* in one piece\), 128 MiB as described; udmabuf0 \(2 MiB at 0x1f000000\) has 2 MiB\. CMA has 16 MiB, 12 MiB of it free\. Boot with cma=160M\. Load the module: modprobe u-dma-buf udmabuf0=134217728\./,
    );
  });

  it('unmaps the memory that was too small', () => {
    const machine = new FakeMachine({ ...bare, ...uDmaBuf(0x1f00_0000, MEBI) });
    expect(() => openLinuxBoard(z1, { least: leastMemory(z1), system: machine })).toThrow(
      'LINUX_DMA_MEMORY_SHORT',
    );
    expect(machine.mappedNodes).toEqual([]);
  });

  it('with no way to memory at all is told every way that was tried, and both changes that help', () => {
    expect(() => open({ ...bare, ...meminfo(0, 0) })).toThrow(
      /LINUX_NO_DMA_MEMORY.*u-dma-buf: no u-dma-buf device.*reserved: no UIO device in the reserved memory \(128 MiB at 0x18000000\), and \/dev\/mem is not allowed.*xrt: no libxrt_core.*dma-heap: no dma-heap.*The kernel has no CMA\. Boot with cma=160M\. Load the module.*Or reserve it in the device tree.*dma@18000000 \{ reg = <0x18000000 0x8000000>; no-map; \}.*compatible = "generic-uio"/,
    );
  });

  it('looks only at the kind that was asked for', () => {
    expect(() => open(goodZ1, { memory: 'reserved' })).toThrow(
      /LINUX_NO_DMA_MEMORY.*has none\. reserved: no UIO/,
    );
  });
});

describe('reserved memory', () => {
  const inUio = { ...bare, ...uio(6, 'dma', base, size) };

  it('in UIO is used where the device tree reserves it, and is written in place', () => {
    const { machine, board } = open({ ...inUio, ...deviceTree({ base, size }) });
    const { words } = machine.mapped('/dev/uio6');
    const buffer = board.allocate(10);
    buffer.write(0, Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
    buffer.giveToDevice();
    expect([...words.subarray(0, 3)]).toEqual([0x0403_0201, 0x0807_0605, 0x0a09]);
    words[1] = -1;
    buffer.giveToCpu();
    expect([...contents(buffer)]).toEqual([1, 2, 3, 4, 255, 255, 255, 255, 9, 10]);
  });

  it('in UIO covers only what the description and the device share', () => {
    const tree = { ...bare, ...uio(6, 'dma', base - MEBI, 64 * MEBI), ...deviceTree({ base, size }) };
    const { machine, board } = open(tree);
    expect(board.description.dmaMemory).toEqual([{ base, size: 63 * MEBI }]);
    board.allocate(4).giveToDevice();
    const buffer = board.allocate(4);
    buffer.write(0, Uint8Array.of(5));
    buffer.giveToDevice();
    expect(machine.mapped('/dev/uio6').bytes[MEBI + 64]).toBe(5);
  });

  it('through /dev/mem is used only where that is allowed', () => {
    const tree = { ...bare, ...deviceTree({ base, size }) };
    expect(() => open(tree)).toThrow(/LINUX_NO_DMA_MEMORY.*\/dev\/mem is not allowed/);
    const { machine, board } = open(tree, { devmem: true });
    expect(board.report.memory.detail).toBe('/dev/mem (128 MiB at 0x18000000)');
    expect(machine.maps.at(-1)).toMatchObject({
      path: '/dev/mem',
      offset: base,
      length: size,
      cached: false,
    });
  });

  it.each<[string, Tree]>([
    [
      'two reservations side by side',
      deviceTree({ base, size: 64 * MEBI }, { base: base + 64 * MEBI, size: 64 * MEBI }),
    ],
    ['the boot argument mem=', { ...deviceTree(), '/proc/cmdline': 'console=ttyPS0 mem=384M rw\n' }],
    [
      'RAM that ends below, by /proc/iomem',
      { '/proc/iomem': '00000000-17ffffff : System RAM\n  00008000-00cfffff : Kernel code\n' },
    ],
    [
      'a reserved part of RAM, by /proc/iomem',
      { '/proc/iomem': '00000000-1fffffff : System RAM\n  18000000-1fffffff : reserved\n' },
    ],
  ])('is kept from Linux by %s', (_what, tree) => {
    expect(open({ ...inUio, ...tree }).board.report.memory.kind).toBe('reserved');
  });

  it.each<[string, Tree, RegExp]>([
    ['nothing', deviceTree(), /Linux uses 0x18000000\.\.0x1fffffff\. Boot with mem=384M/],
    ['half a reservation', deviceTree({ base, size: 64 * MEBI }), /Linux uses 0x1c000000\.\.0x1fffffff/],
    ['a reservation that Linux reuses for CMA', deviceTree({ base, size, reusable: true }), /Linux uses/],
    ['a reservation that is disabled', deviceTree({ base, size, status: 'disabled' }), /Linux uses/],
    ['no evidence', {}, /neither \/proc\/iomem nor the device tree shows/],
    [
      'iomem whose addresses are hidden',
      { '/proc/iomem': '00000000-00000000 : System RAM\n' },
      /neither \/proc\/iomem nor the device tree shows/,
    ],
  ])('is refused when it is kept from Linux by %s', (_what, tree, message) => {
    const machine = new FakeMachine({ ...inUio, ...tree });
    expect(() => openLinuxBoard(z1, { least: leastMemory(z1), system: machine })).toThrow(
      /LINUX_MEMORY_NOT_RESERVED/,
    );
    expect(() => openLinuxBoard(z1, { least: leastMemory(z1), system: machine })).toThrow(message);
    expect(machine.mappedNodes).toEqual([]);
  });

  it('is read from device trees with 64-bit cells too', () => {
    const tree = {
      ...deviceTree(),
      '/proc/device-tree/#address-cells': cells(2),
      '/proc/device-tree/#size-cells': cells(2),
      '/proc/device-tree/memory@0/reg': cells(0, 0, 0, 0x8000_0000, 8, 0, 0, 0x8000_0000),
      '/proc/device-tree/reserved-memory/#address-cells': cells(2),
      '/proc/device-tree/reserved-memory/#size-cells': cells(2),
      '/proc/device-tree/reserved-memory/dma@18000000/reg': cells(0, base, 0, size),
    };
    expect(open({ ...inUio, ...tree }).board.report.memory.kind).toBe('reserved');
  });
});

/** The library's interface over plain memory; notes what is called. */
function fakeXrt(calls: string[], { physical = 0x1000_0000, sync = 0, room = 1024 * MEBI } = {}): XrtLibrary {
  return {
    open: (index) => {
      calls.push(`open ${index}`);
      return {
        allocate: (bytes, flags) => {
          calls.push(`allocate ${bytes} ${flags}`);
          if (bytes > room) return undefined;
          const memory = new ArrayBuffer(bytes);
          const buffer: XrtBuffer = {
            physicalAddress: physical,
            map: () => ({
              words: new Int32Array(memory),
              bytes: new Uint8Array(memory),
              unmap: () => calls.push('unmap'),
            }),
            sync: (direction, length, offset) => {
              calls.push(`sync ${direction} ${length} ${offset}`);
              return sync;
            },
            free: () => calls.push('free'),
          };
          return buffer;
        },
        close: () => calls.push('close'),
      };
    },
  };
}

describe('a buffer object of the Xilinx runtime', () => {
  const withXrt = { ...bare, '/usr/lib/libxrt_core.so.2': '' };
  const openXrt = (library: XrtLibrary, tree: Tree = withXrt) => {
    const machine = new FakeMachine(tree);
    machine.loadXrt = () => library;
    return openLinuxBoard(z1, { least: leastMemory(z1), system: machine });
  };

  it('is cacheable, as large as CMA allows, synchronised, and given back', () => {
    const calls: string[] = [];
    const board = openXrt(fakeXrt(calls));
    expect(board.report.memory.kind).toBe('xrt');
    const buffer = board.allocate(256);
    buffer.giveToDevice();
    buffer.giveToCpu();
    board.close();
    expect(calls).toEqual([
      'open 0',
      `allocate ${100 * MEBI} ${1 << 24}`,
      'sync to-device 256 0',
      'sync from-device 256 0',
      'unmap',
      'free',
      'close',
    ]);
  });

  it('that cannot be had is an error that closes the device', () => {
    const calls: string[] = [];
    expect(() => openXrt(fakeXrt(calls, { room: 0 }))).toThrow(
      /LINUX_XRT_FAILED.*no buffer object of 100 MiB/,
    );
    expect(calls.at(-1)).toBe('close');
  });

  it('is not asked for where CMA is too small', () => {
    const calls: string[] = [];
    expect(() => openXrt(fakeXrt(calls), { ...withXrt, ...meminfo(4096, 1024) })).toThrow(
      /LINUX_DMA_MEMORY_SHORT.*CMA has 4 MiB, 1 MiB of it free\. Boot with cma=160M/,
    );
    expect(calls).toEqual([]);
  });

  it('beyond 4 GiB is given back', () => {
    const calls: string[] = [];
    expect(() => openXrt(fakeXrt(calls, { physical: 0x8_0000_0000 }))).toThrow(
      'LINUX_PHYSICAL_ADDRESS_UNKNOWN',
    );
    expect(calls.slice(-3)).toEqual(['unmap', 'free', 'close']);
  });

  it('that refuses to synchronise is an error', () => {
    const buffer = openXrt(fakeXrt([], { sync: -22 })).allocate(64);
    expect(() => buffer.giveToDevice()).toThrow(
      /LINUX_XRT_FAILED.*xclSyncBO to-device of bytes 0 to 64 returned -22/,
    );
  });

  it('of a runtime without device is passed over', () => {
    expect(() => openXrt({ open: () => undefined })).toThrow(
      /LINUX_NO_DMA_MEMORY.*opens no device: is zocl loaded/,
    );
  });
});

describe('a dma-heap', () => {
  const heap = { ...bare, '/dev/dma_heap/linux,cma-uncached': '', ...meminfo(131072, 16384) };
  const address = 0x10_0000;
  /** Pagemap entries of 16 MiB at `address`, physically from `frame` on. */
  const pagemap = (
    frame: bigint,
    change: (page: number, entry: bigint) => bigint = (_page, entry) => entry,
  ) => {
    const bytes = Buffer.alloc((address / 4096 + 4096) * 8);
    for (let page = 0; page < 4096; page++)
      bytes.writeBigUInt64LE(change(page, (1n << 63n) | (frame + BigInt(page))), (address / 4096 + page) * 8);
    return { '/proc/self/pagemap': bytes };
  };
  const openHeap = (tree: Tree, calls: string[] = []) => {
    const machine = new FakeMachine(tree);
    machine.allocateFromHeap = (path, bytes) => {
      calls.push(`allocate ${path} ${bytes}`);
      const memory = new ArrayBuffer(bytes);
      return {
        address,
        mapping: {
          words: new Int32Array(memory),
          bytes: new Uint8Array(memory),
          unmap: () => calls.push('unmap'),
        },
        free: () => calls.push('free'),
      };
    };
    return openLinuxBoard(z1, { least: leastMemory(z1), system: machine });
  };

  it('gives memory whose physical address every page confirms', () => {
    const calls: string[] = [];
    const board = openHeap({ ...heap, ...pagemap(0x1_2000n) }, calls);
    expect(board.description.dmaMemory).toEqual([{ base: 0x1200_0000, size: 16 * MEBI }]);
    board.close();
    expect(calls).toEqual([`allocate /dev/dma_heap/linux,cma-uncached ${16 * MEBI}`, 'unmap', 'free']);
  });

  it.each<[string, (page: number, entry: bigint) => bigint, string]>([
    ['a page lies elsewhere', (page, entry) => (page === 77 ? entry + 1n : entry), 'page 77 does not follow'],
    [
      'a page is swapped out',
      (page, entry) => (page === 5 ? entry ^ (1n << 63n) : entry),
      'page 5 is not in memory',
    ],
    ['the kernel hides addresses', () => 1n << 63n, 'hides addresses from this user'],
  ])('is given back when %s', (_what, change, text) => {
    const calls: string[] = [];
    expect(() => openHeap({ ...heap, ...pagemap(0x1_2000n, change) }, calls)).toThrow(
      new RegExp(`LINUX_PHYSICAL_ADDRESS_UNKNOWN.*${text}`),
    );
    expect(calls.slice(-2)).toEqual(['unmap', 'free']);
  });

  it('that the CPU caches is passed over: nothing would synchronise it', () => {
    expect(() => openHeap({ ...bare, '/dev/dma_heap/linux,cma': '' })).toThrow(
      /LINUX_NO_DMA_MEMORY.*dma-heap: no uncached dma-heap \(linux,cma\)/,
    );
  });
});
