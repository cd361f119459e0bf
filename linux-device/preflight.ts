import type { BoardDescription } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { listDirectory, readText, type SystemFiles } from './system-files.js';

const FPGA_MANAGERS = '/sys/class/fpga_manager';
const CLOCKS = '/sys/kernel/debug/clk';

interface Machine {
  /** `process.arch` of Node on it. */
  readonly arch: string;
  /** Addresses that lead into the programmable logic: UG585 table 4-1 (M_AXI_GP0, GP1), UG1085 table 10-1 (HPM). */
  readonly logic: { readonly start: number; readonly end: number };
  /** Names of the clocks into the logic in the kernel's clock tree. */
  readonly clocks: readonly [string, string, string, string];
}

const MACHINES: Readonly<Record<BoardDescription['architecture'], Machine>> = {
  armv7: {
    arch: 'arm',
    logic: { start: 0x4000_0000, end: 0xc000_0000 },
    clocks: ['fclk0', 'fclk1', 'fclk2', 'fclk3'],
  },
  aarch64: {
    arch: 'arm64',
    logic: { start: 0x8000_0000, end: 0xc000_0000 },
    clocks: ['pl0_ref', 'pl1_ref', 'pl2_ref', 'pl3_ref'],
  },
};

/**
 * Checks that this machine can be the board.
 * @param platform and `arch` as Node's process has them
 * @throws PynqLlmError LINUX_WRONG_MACHINE
 */
export function checkMachine(description: BoardDescription, platform: string, arch: string): void {
  const wanted = MACHINES[description.architecture].arch;
  if (platform === 'linux' && arch === wanted) return;
  throw new PynqLlmError(
    'LINUX_WRONG_MACHINE',
    `${description.title} runs Linux on ${wanted}; this machine runs ${platform} on ${arch}.`,
    { context: { board: description.name, platform, architecture: arch } },
  );
}

/** What was found, for reports. */
export interface LogicState {
  /** Undefined where no window lies in programmable logic, so that nothing had to be checked. */
  readonly fpgaManager: string | undefined;
  /** Hz; undefined where the kernel does not show it to this user. */
  readonly clockHz: number | undefined;
}

/**
 * Checks that the programmable logic is configured and clocked: an access to it would otherwise hang the processor
 * for good. Reads files of the kernel only.
 *
 * @throws PynqLlmError LINUX_LOGIC_NOT_CONFIGURED, LINUX_CLOCK_STOPPED
 */
export function checkLogic(description: BoardDescription, files: SystemFiles): LogicState {
  const { logic, clocks } = MACHINES[description.architecture];
  const inLogic = Object.values(description.windows).some(
    ({ base }) => base >= logic.start && base < logic.end,
  );
  if (!inLogic) return { fpgaManager: undefined, clockHz: undefined };
  const manager = listDirectory(files, FPGA_MANAGERS)[0];
  const state = manager && readText(files, `${FPGA_MANAGERS}/${manager}/state`);
  if (state !== 'operating')
    throw new PynqLlmError(
      'LINUX_LOGIC_NOT_CONFIGURED',
      manager === undefined
        ? `The kernel shows no FPGA manager (${FPGA_MANAGERS}), so nothing tells whether the logic is configured.`
        : `${manager} is in the state "${state ?? 'unreadable'}", not "operating".`,
      { context: { manager: manager ?? '', state: state ?? '' } },
    );
  const clock = clocks[description.fpga?.clock ?? 0];
  const rate = readText(files, `${CLOCKS}/${clock}/clk_rate`);
  const clockHz = rate === undefined || !/^\d+$/.test(rate) ? undefined : Number(rate);
  if (clockHz === 0)
    throw new PynqLlmError('LINUX_CLOCK_STOPPED', `The clock ${clock} of the programmable logic has 0 Hz.`, {
      context: { clock },
    });
  return { fpgaManager: manager, clockHz };
}

/** Memory that the kernel can still give to DMA, from /proc/meminfo; 0 where it has no CMA. Bytes. */
export function readCma(files: SystemFiles): { total: number; free: number } {
  const text = readText(files, '/proc/meminfo') ?? '';
  const field = (name: string) =>
    Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { total: field('CmaTotal'), free: field('CmaFree') };
}
