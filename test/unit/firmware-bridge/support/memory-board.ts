import { memfs } from 'memfs';
import type { Clock, SystemFiles } from '../../../../firmware-bridge/fpga-manager/system-files.js';

const MANAGER = '/sys/class/fpga_manager/fpga0';

/** How the kernel of a memfs board behaves when it is told to load a bitstream. */
export interface KernelOptions {
  /** The attribute `firmware` exists, as in Xilinx's kernels. */
  readonly loadable?: boolean;
  /** States that `state` goes through, one at each reading, after a load. */
  readonly states?: readonly string[];
  /** What the write to `firmware` fails with. */
  readonly refuses?: string;
  /** The write to `firmware` never returns. */
  readonly hangs?: boolean;
  /** What `status` of an overlay says. */
  readonly overlayStatus?: string;
  readonly overlays?: boolean;
}

/** A board in memfs whose kernel answers writes to sysfs and configfs as a real one does. */
export function memoryBoard(options: KernelOptions = {}) {
  const {
    loadable = true,
    states = ['operating'],
    refuses,
    hangs,
    overlayStatus = 'applied',
    overlays,
  } = options;
  const { fs, vol } = memfs({
    [`${MANAGER}/name`]: 'Xilinx Zynq FPGA Manager\n',
    [`${MANAGER}/state`]: 'unknown\n',
    [`${MANAGER}/flags`]: '0\n',
    ...(loadable && { [`${MANAGER}/firmware`]: '' }),
    '/lib/firmware': null,
    ...(overlays && { '/sys/kernel/config/device-tree/overlays': null }),
  });
  const written: string[] = [];
  const pending = [...states];
  let loaded = false;
  const files: SystemFiles = {
    access: async (path) => fs.promises.access(path),
    mkdir: (path, how) => fs.promises.mkdir(path, how),
    readdir: async (path) => (await fs.promises.readdir(path)).map(String),
    rename: async (from, to) => fs.promises.rename(from, to),
    // configfs takes its files away with the folder.
    rmdir: async (path) => fs.promises.rm(path, { recursive: true }),
    readFile: async (path) => {
      if (loaded && path === `${MANAGER}/state` && pending.length > 0)
        vol.writeFileSync(path, `${pending.length > 1 ? pending.shift() : pending[0]}\n`);
      return Buffer.from(await fs.promises.readFile(path));
    },
    writeFile: async (path, data) => {
      written.push(path);
      if (path === `${MANAGER}/firmware`) {
        if (hangs) return new Promise(() => {});
        if (refuses) throw new Error(refuses);
        loaded = true;
      }
      await fs.promises.writeFile(path, data);
      if (path.endsWith('/dtbo')) vol.writeFileSync(path.replace(/dtbo$/, 'status'), `${overlayStatus}\n`);
    },
  };
  return { files, written, vol };
}

/** Time that passes only when somebody sleeps. */
export function fakeClock(): Clock {
  let now = 0;
  return {
    now: () => now,
    sleep: async (milliseconds, signal) => {
      const end = now + milliseconds;
      // Whatever can go on without time passing does so first.
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (!signal?.aborted) now = Math.max(now, end);
    },
  };
}
