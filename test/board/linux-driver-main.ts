import { loadBoardDescription } from '../../board/description-file.js';
import { type LinuxBoardReport, openLinuxBoard } from '../../linux-device/index.js';
import { contents } from '../unit/board/contents.js';

/** What the Linux driver found and did on the board. */
export interface DriverProbe {
  readonly report: LinuxBoardReport;
  /** For each window, what its first and last register held after a number of its own was written there. */
  readonly registers: Readonly<Record<string, readonly [number, number]>>;
  /** A buffer's physical address and its bytes as read back after the device owned it. */
  readonly buffer: { readonly physicalAddress: number; readonly bytes: readonly number[] };
  /** Nanoseconds of one 32-bit read of a register. */
  readonly readNs: number;
}

const READS = 100_000;

/**
 * `linux-driver-main.js BOARD.toml [devmem]` writes and reads registers and DMA memory through UIO, or through /dev/mem
 * where `devmem` allows it, and prints JSON.
 */
function main(path: string, allowed: string | undefined): DriverProbe {
  const board = openLinuxBoard(loadBoardDescription(path), { devmem: allowed === 'devmem' });
  const windows = Object.keys(board.description.windows).map((name) => board.window(name));
  for (const [index, window] of windows.entries()) {
    window.write32(0, 0x8000_0001 + index);
    window.write32(window.size - 4, 0x1234_0000 + index);
  }
  const registers = windows.map((w): [string, [number, number]] => [
    w.name,
    [w.read32(0), w.read32(w.size - 4)],
  ]);
  const buffer = board.allocate(4096);
  buffer.write(0, Uint8Array.from([1, 2, 3, 250]));
  buffer.giveToDevice();
  buffer.giveToCpu();
  const { physicalAddress } = buffer;
  const bytes = [...contents(buffer, 0, 4)];
  const started = performance.now();
  for (let i = 0; i < READS; i++) windows[0].read32(4);
  const readNs = ((performance.now() - started) * 1e6) / READS;
  buffer.free();
  board.close();
  return {
    report: board.report,
    registers: Object.fromEntries(registers),
    buffer: { physicalAddress, bytes },
    readNs,
  };
}

process.stdout.write(`${JSON.stringify(main(process.argv[2], process.argv[3]))}\n`);
