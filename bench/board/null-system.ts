import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import {
  AXI_DMA_REGISTERS,
  type BoardDescription,
  DMACR,
  DMASR,
  STATUS_REGISTERS,
  statusOffset,
} from '../../board/index.js';
import type { LinuxSystem, MapRequest } from '../../linux-device/index.js';

const NOWHERE = '/dev/null';
const FPGA_STATE = '/sys/class/fpga_manager/fpga0/state';
const U_DMA_BUF = '/sys/class/u-dma-buf/udmabuf0';

/** Ways to DMA memory that are counted: mapped without the CPU's cache, and with it. */
export type NullMemory = 'reserved' | 'u-dma-buf';

/**
 * A machine whose device nodes are plain memory, for the real code of linux-device: every status register says that a
 * transfer is complete, so that the device takes no time, and what it computes is what lies in memory already (random
 * numbers). Commands to the cache are written to /dev/null: the system call is there, its effect is not.
 */
export class NullSystem implements LinuxSystem {
  readonly platform = 'linux';
  readonly arch = 'arm';
  readonly files: LinuxSystem['files'];
  /** Commands to the cache so far. */
  cacheCommands = 0;
  readonly mapper = { pageSize: 4096, map: (request: MapRequest) => this.#map(request) };
  readonly #tree: ReadonlyMap<string, string>;
  readonly #windows: readonly [string, { readonly base: number; readonly size: number }][];
  readonly #status: readonly { readonly idle: number }[];
  readonly #engines: Int32Array[] = [];
  #endsResets = true;

  /** @param description its DMA memory, one piece, is all that there is */
  constructor(description: BoardDescription, memory: NullMemory) {
    this.#windows = Object.entries(description.windows);
    this.#status = STATUS_REGISTERS[description.revision];
    this.#tree = new Map(treeOf(description, memory));
    this.files = this.#makeFiles();
  }

  /** The time. As long as engines are reset, it is also what ends that. */
  readonly now = (): number => {
    if (this.#endsResets) for (const words of this.#engines) endReset(words);
    return performance.now() * 1000;
  };

  /** Nothing is reset from now on, and the time costs what it costs on a board. */
  endResets(): void {
    this.#endsResets = false;
  }

  readonly waitReadable = (): boolean => false;
  readonly loadXrt = (): never => {
    throw new Error('there is no Xilinx runtime here');
  };
  readonly allocateFromHeap = (): never => {
    throw new Error('there is no DMA heap here');
  };

  #makeFiles(): LinuxSystem['files'] {
    const paths = [...this.#tree.keys()];
    const read = (path: string) => {
      const text = this.#tree.get(path);
      if (text === undefined) throw new Error(`ENOENT: ${path}`);
      return text;
    };
    return {
      existsSync: (path) => paths.some((one) => one === path || one.startsWith(`${path}/`)),
      readdirSync: (path) => {
        const below = paths.filter((one) => one.startsWith(`${path}/`));
        return [...new Set(below.map((one) => one.slice(path.length + 1).split('/')[0]))];
      },
      readFileSync: ((path: string, encoding?: 'utf8') =>
        encoding ? read(path) : Buffer.from(read(path))) as LinuxSystem['files']['readFileSync'],
      openSync: (_path, flags) => openSync(NOWHERE, flags),
      readSync,
      writeSync: (fd, from, offset, length, position) => {
        this.cacheCommands++;
        return writeSync(fd, from, offset, length, position);
      },
      closeSync,
    };
  }

  #map({ path, length }: MapRequest) {
    const memory = new ArrayBuffer(length);
    const words = new Int32Array(memory);
    const name = this.#windows[Number(/^\/dev\/uio(\d+)$/.exec(path)?.[1])]?.[0];
    if (name === 'control')
      for (const [i, { idle }] of this.#status.entries()) words[statusOffset(i) / 4] = idle;
    else if (name?.startsWith('dma')) this.#engines.push(completed(words));
    else fillWithResults(new Float32Array(memory));
    return { words, bytes: new Uint8Array(memory), unmap: () => {} };
  }
}

/** An engine whose transfers are always complete: driver writes to acknowledge leave the bit as it is. */
function completed(words: Int32Array): Int32Array {
  for (const { offset } of [AXI_DMA_REGISTERS.MM2S_DMASR, AXI_DMA_REGISTERS.S2MM_DMASR])
    words[offset / 4] = DMASR.IDLE | DMASR.IOC_IRQ;
  return words;
}

function endReset(words: Int32Array): void {
  for (const { offset } of [AXI_DMA_REGISTERS.MM2S_DMACR, AXI_DMA_REGISTERS.S2MM_DMACR])
    words[offset / 4] &= ~DMACR.RESET;
}

/** Numbers of the size of activations, from -1 to 1; the same every time. */
function fillWithResults(floats: Float32Array): void {
  const distinct = Math.min(floats.length, 2 ** 18);
  let state = 1;
  for (let i = 0; i < distinct; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    floats[i] = state / 2 ** 31;
  }
  for (let filled = distinct; filled < floats.length; filled *= 2) floats.copyWithin(filled, 0, filled);
}

/** The kernel's files of such a machine. */
function treeOf({ windows, dmaMemory }: BoardDescription, memory: NullMemory): [string, string][] {
  const [{ base, size }] = dmaMemory;
  const last = Object.keys(windows).length;
  return [
    ...Object.entries(windows).flatMap(([name, window], i) => uio(i, name, window.base, window.size)),
    ...(memory === 'reserved' ? uio(last, 'dma-memory', base, size) : uDmaBuf(base, size)),
    [FPGA_STATE, 'operating\n'],
    ['/proc/meminfo', 'CmaTotal: 0 kB\nCmaFree: 0 kB\n'],
    ['/proc/iomem', `00000000-3fffffff : System RAM\n  ${hex(base)}-${hex(base + size - 1)} : reserved\n`],
  ];
}

function uio(index: number, name: string, base: number, size: number): [string, string][] {
  const directory = `/sys/class/uio/uio${index}`;
  return [
    [`/dev/uio${index}`, ''],
    [`${directory}/name`, `${name}\n`],
    [`${directory}/maps/map0/addr`, `0x${hex(base)}\n`],
    [`${directory}/maps/map0/size`, `0x${hex(size)}\n`],
  ];
}

function uDmaBuf(base: number, size: number): [string, string][] {
  return [
    ['/dev/udmabuf0', ''],
    [`${U_DMA_BUF}/phys_addr`, `0x${hex(base)}\n`],
    [`${U_DMA_BUF}/size`, `${size}\n`],
    [`${U_DMA_BUF}/sync_mode`, '1\n'],
    [`${U_DMA_BUF}/sync_for_cpu`, ''],
    [`${U_DMA_BUF}/sync_for_device`, ''],
  ];
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
