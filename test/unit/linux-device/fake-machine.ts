import { createFsFromVolume, Volume } from 'memfs';
import type { BoardDescription } from '../../../board/description.js';
import { loadBoardDescription } from '../../../board/description-file.js';
import type { LinuxSystem } from '../../../linux-device/linux-system.js';
import type { Mapping, MapRequest } from '../../../linux-device/mapper.js';

export const MEBI = 2 ** 20;
export const z1 = loadBoardDescription('pynq-z1');
export const kv260 = loadBoardDescription('kv260');

export type Tree = Record<string, string | Buffer>;

/** A machine made of files in memory; what is mapped is plain memory, remembered by node. */
export class FakeMachine implements LinuxSystem {
  readonly platform = 'linux';
  readonly volume = new Volume();
  readonly maps: (MapRequest & { mapping: Mapping; mapped: boolean })[] = [];
  /** UIO devices with an interrupt: writes and reads succeed there only. */
  readonly interrupts = new Set<string>();
  /** Nodes that this user may not open. */
  readonly denied = new Set<string>();
  readonly opened = new Map<number, string>();
  /** What was written, by path. */
  readonly written: { path: string; text: string }[] = [];
  clockUs = 0;
  /** What u-dma-buf-mgr does with a line; throws what the write throws. */
  onManager: (line: string) => void = (line) => {
    throw errno('EINVAL', line);
  };
  onWaitReadable: (timeoutMs: number) => boolean = () => false;
  loadXrt: LinuxSystem['loadXrt'] = () => {
    throw new Error('no XRT in this test');
  };
  allocateFromHeap: LinuxSystem['allocateFromHeap'] = () => {
    throw new Error('no dma-heap in this test');
  };

  constructor(
    tree: Tree,
    readonly arch = 'arm',
  ) {
    for (const [path, content] of Object.entries(tree)) {
      this.volume.mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true });
      this.volume.writeFileSync(path, content);
    }
  }

  readonly now = () => (this.clockUs += 1000);
  readonly waitReadable = (_fds: readonly number[], timeoutMs: number) => this.onWaitReadable(timeoutMs);

  readonly mapper = {
    pageSize: 4096,
    map: (request: MapRequest): Mapping => {
      if (this.denied.has(request.path)) throw errno('EACCES', request.path);
      const memory = new ArrayBuffer(request.length);
      const record = {
        ...request,
        mapped: true,
        mapping: {
          words: new Int32Array(memory),
          bytes: new Uint8Array(memory),
          unmap: () => {
            record.mapped = false;
          },
        },
      };
      this.maps.push(record);
      return record.mapping;
    },
  };

  get files(): LinuxSystem['files'] {
    const fs = createFsFromVolume(this.volume) as unknown as LinuxSystem['files'];
    return {
      existsSync: fs.existsSync.bind(fs),
      readFileSync: fs.readFileSync.bind(fs),
      readdirSync: fs.readdirSync.bind(fs),
      openSync: (path, flags) => {
        if (this.denied.has(path)) throw errno('EACCES', path);
        const fd = fs.openSync(path, flags);
        this.opened.set(fd, path);
        return fd;
      },
      readSync: (fd, into, offset, length, position) => {
        const path = this.opened.get(fd) ?? '';
        if (path.startsWith('/dev/uio')) throw NO_INTERRUPT;
        return fs.readSync(fd, into, offset, length, position);
      },
      writeSync: (fd, from, offset, length, position) => {
        const path = this.opened.get(fd) ?? '';
        if (this.denied.has(`write ${path}`)) throw errno('EINVAL', path);
        if (path.startsWith('/dev/uio') && !this.interrupts.has(path)) throw errno('EIO', path);
        const text = Buffer.from(from.subarray(offset, offset + length)).toString('latin1');
        this.written.push({ path, text });
        if (path === '/dev/u-dma-buf-mgr') {
          this.onManager(text);
          return length;
        }
        return fs.writeSync(fd, from, offset, length, position);
      },
      closeSync: (fd) => {
        this.opened.delete(fd);
        fs.closeSync(fd);
      },
    };
  }

  /** The mapping of a node that is mapped now. */
  mapped(path: string, offset = 0): Mapping {
    return this.maps.find((m) => m.path === path && m.offset === offset && m.mapped)!.mapping;
  }

  get mappedNodes(): string[] {
    return this.maps.filter(({ mapped }) => mapped).map(({ path }) => path);
  }
}

export function errno(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

/** Thrown at nearly every look: a stack is only traced once. */
const NO_INTERRUPT = errno('EAGAIN', '/dev/uio');

/** sysfs of a UIO device with one map. */
export function uio(index: number, name: string, address: number, size: number): Tree {
  const directory = `/sys/class/uio/uio${index}`;
  return {
    [`/dev/uio${index}`]: '',
    [`${directory}/name`]: `${name}\n`,
    [`${directory}/maps/map0/addr`]: `0x${address.toString(16)}\n`,
    [`${directory}/maps/map0/size`]: `0x${size.toString(16)}\n`,
    [`${directory}/maps/map0/offset`]: '0x0\n',
  };
}

/** A UIO device for every register window, in the order of the description: uio0 is `control`. */
export function windowsInUio({ windows }: BoardDescription): Tree {
  return Object.assign(
    {},
    ...Object.entries(windows).map(([name, { base, size }], i) => uio(i, name, base, size)),
  );
}

export function uDmaBuf(base: number, size: number, { mode = 1, name = 'udmabuf0' } = {}): Tree {
  const directory = `/sys/class/u-dma-buf/${name}`;
  return {
    [`/dev/${name}`]: '',
    [`${directory}/phys_addr`]: `0x${base.toString(16).padStart(16, '0')}\n`,
    [`${directory}/size`]: `${size}\n`,
    [`${directory}/sync_mode`]: `${mode}\n`,
    [`${directory}/sync_for_cpu`]: '0\n',
    [`${directory}/sync_for_device`]: '0\n',
  };
}

export const LOGIC_RUNS: Tree = {
  '/sys/class/fpga_manager/fpga0/state': 'operating\n',
  '/sys/kernel/debug/clk/fclk0/clk_rate': '100000000\n',
};

export function meminfo(cmaTotalKib: number, cmaFreeKib: number): Tree {
  return {
    '/proc/meminfo': `MemTotal:         507748 kB\nMemFree:          300000 kB\nCmaTotal:       ${cmaTotalKib} kB\nCmaFree:         ${cmaFreeKib} kB\n`,
  };
}

/** Big-endian cells, as device tree properties hold them. */
export function cells(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
  return bytes;
}

/** The device tree of a board with 512 MiB and some reservations. */
export function deviceTree(
  ...reserved: { base: number; size: number; reusable?: boolean; status?: string }[]
): Tree {
  const root = '/proc/device-tree';
  const tree: Tree = {
    [`${root}/#address-cells`]: cells(1),
    [`${root}/#size-cells`]: cells(1),
    [`${root}/memory@0/reg`]: cells(0, 512 * MEBI),
    [`${root}/reserved-memory/#address-cells`]: cells(1),
    [`${root}/reserved-memory/#size-cells`]: cells(1),
  };
  for (const { base, size, reusable, status } of reserved) {
    const node = `${root}/reserved-memory/dma@${base.toString(16)}`;
    tree[`${node}/reg`] = cells(base, size);
    if (reusable) tree[`${node}/reusable`] = '';
    if (status !== undefined) tree[`${node}/status`] = `${status}\0`;
  }
  return tree;
}

/** A PYNQ-Z1 as it should be: UIO, u-dma-buf, bitstream loaded. */
export const goodZ1: Tree = {
  ...windowsInUio(z1),
  ...uDmaBuf(0x1680_0000, 128 * MEBI),
  ...LOGIC_RUNS,
  ...meminfo(131072, 2048),
};
