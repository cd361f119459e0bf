import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { BoardDescription } from '../../../board/description.js';
import { loadBoardDescription } from '../../../board/description-file.js';
import { type LinuxSystem, thisMachine } from '../../../linux-device/linux-system.js';

const MEBI = 2 ** 20;
/** Where the u-dma-buf of this board lies, as its sysfs says. */
export const DMA_BASE = 0x1680_0000;
const DMA_SIZE = 16 * MEBI;
const SLCR = { base: 0xf800_0000, size: 0x1000 };
const PAGE = 4096;

/**
 * A PYNQ-Z1 that also declares its control registers, which are reached through /dev/mem. Without counters: a file has in
 * every place what was written there, as no counter's window does.
 */
export const MAPPED_Z1: BoardDescription = (() => {
  const z1 = loadBoardDescription('pynq-z1');
  const { hwc: _, ...windows } = z1.windows;
  return { ...z1, windows: { ...windows, slcr: SLCR } };
})();

/** What the logic does when a transfer is started. */
export type Behaviour = 'silent' | 'decode-error';

/**
 * Puts a PYNQ-Z1 into a folder: sysfs and device nodes as ordinary files, which the driver maps for real. Offsets into
 * the file that stands for /dev/mem are beyond 2 GiB, as on the board; the file is sparse.
 */
export function layOutBoard(root: string): void {
  const put = (path: string, content: string | Uint8Array) => {
    fs.mkdirSync(dirname(join(root, path)), { recursive: true });
    fs.writeFileSync(join(root, path), content);
  };
  const uio = Object.entries(MAPPED_Z1.windows).filter(([name]) => name !== 'slcr');
  for (const [i, [name, { base, size }]] of uio.entries()) {
    put(`/dev/uio${i}`, name === 'control' ? idleStatus(size) : new Uint8Array(size));
    put(`/sys/class/uio/uio${i}/name`, `${name}\n`);
    put(`/sys/class/uio/uio${i}/maps/map0/addr`, `0x${base.toString(16)}\n`);
    put(`/sys/class/uio/uio${i}/maps/map0/size`, `0x${size.toString(16)}\n`);
  }
  put('/sys/class/fpga_manager/fpga0/state', 'operating\n');
  put('/proc/meminfo', 'CmaTotal:         131072 kB\nCmaFree:          100000 kB\n');
  const buffer = '/sys/class/u-dma-buf/udmabuf0';
  put(`${buffer}/phys_addr`, `0x${DMA_BASE.toString(16)}\n`);
  put(`${buffer}/size`, `${DMA_SIZE}\n`);
  put(`${buffer}/sync_mode`, '1\n');
  put(`${buffer}/sync_for_cpu`, '');
  put(`${buffer}/sync_for_device`, '');
  put('/dev/udmabuf0', '');
  fs.truncateSync(join(root, '/dev/udmabuf0'), DMA_SIZE);
  put('/usr/lib/libxrt_core.so.2', '');
  put('/dev/mem', '');
  fs.truncateSync(join(root, '/dev/mem'), SLCR.base + SLCR.size);
  writeWord(root, '/dev/mem', SLCR.base + 0x900, 0xf);
  writeWord(root, '/dev/mem', SLCR.base + 0x240, 0x01f3_3f00);
}

/** The control window of an idle core: status registers 0 to 3 read 1. */
function idleStatus(size: number): Uint8Array {
  const words = new Uint32Array(size / 4);
  for (let unit = 0; unit < 4; unit++) words[(0x24 + 8 * unit) / 4] = 1;
  return new Uint8Array(words.buffer);
}

function writeWord(root: string, path: string, offset: number, value: number): void {
  const fd = fs.openSync(join(root, path), 'r+');
  fs.writeSync(fd, new Uint8Array(new Uint32Array([value]).buffer), 0, 4, offset);
  fs.closeSync(fd);
}

/** A word of a file, read through the file system: what a mapping of the file wrote. */
export function readWord(root: string, path: string, offset: number): number {
  const word = new Uint32Array(1);
  const fd = fs.openSync(join(root, path), 'r');
  fs.readSync(fd, new Uint8Array(word.buffer), 0, 4, offset);
  fs.closeSync(fd);
  return word[0];
}

/** This machine, with the board's folder in the place of its root. UIO devices have no interrupt. */
export function systemIn(root: string): LinuxSystem {
  const uioFds = new Set<number>();
  return {
    ...thisMachine,
    arch: 'arm',
    mapper: {
      pageSize: PAGE,
      map: (request) => thisMachine.mapper.map({ ...request, path: join(root, request.path) }),
    },
    files: {
      existsSync: (path) => fs.existsSync(join(root, path)),
      readFileSync: ((path: string, encoding?: 'utf8') =>
        fs.readFileSync(join(root, path), encoding)) as LinuxSystem['files']['readFileSync'],
      readdirSync: (path) => fs.readdirSync(join(root, path)),
      openSync: (path, flags) => {
        const fd = fs.openSync(join(root, path), flags);
        if (path.startsWith('/dev/uio')) uioFds.add(fd);
        return fd;
      },
      readSync: fs.readSync,
      writeSync: (fd, from, offset, length, position) => {
        if (uioFds.has(fd)) throw Object.assign(new Error('EIO: no interrupt'), { code: 'EIO' });
        return fs.writeSync(fd, from, offset, length, position);
      },
      closeSync: (fd) => {
        uioFds.delete(fd);
        fs.closeSync(fd);
      },
    },
  };
}

/** Starts a thread that does in the mapped files what the DMA engines' registers do. */
export async function startLogic(root: string, behaviour: Behaviour): Promise<Worker> {
  const worker = new Worker(new URL('./mapped-logic-main.js', import.meta.url), {
    workerData: { root, behaviour },
  });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  return worker;
}
