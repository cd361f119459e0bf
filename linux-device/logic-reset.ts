import { type RegisterWindow, SLCR_KEYS, SLCR_REGISTERS } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { hex } from './system-files.js';

/** FPGA0_OUT_RST to FPGA3_OUT_RST of FPGA_RST_CTRL: 1 holds the logic in reset. */
const OUTPUT_RESETS = 0xf;
/** All four level shifters between processor and logic. */
const LEVEL_SHIFTERS = 0xf;
/** Thousands of cycles of the slowest clock that a board file allows. */
const RESET_US = 1000;

/**
 * Checks what only the Zynq-7000's control registers tell: whether signals cross into the logic, whether its clock
 * runs and whether it is out of reset. They are read where the board description declares them as the window `slcr`.
 *
 * @param clock which FCLK drives the core
 * @throws PynqLlmError LINUX_LOGIC_NOT_CONFIGURED, LINUX_CLOCK_STOPPED
 */
export function checkLogicInterface(slcr: RegisterWindow, clock: 0 | 1 | 2 | 3): void {
  const shifters = slcr.read32(SLCR_REGISTERS.LVL_SHFTR_EN.offset);
  if ((shifters & LEVEL_SHIFTERS) !== LEVEL_SHIFTERS)
    throw notConfigured('The level shifters between processor and logic are off (LVL_SHFTR_EN)', shifters);
  const resets = slcr.read32(SLCR_REGISTERS.FPGA_RST_CTRL.offset);
  if (resets & (1 << clock)) throw notConfigured('The logic is held in reset (FPGA_RST_CTRL)', resets);
  if (slcr.read32(SLCR_REGISTERS[`FPGA${clock}_THR_CNT`].offset) & 1)
    throw new PynqLlmError('LINUX_CLOCK_STOPPED', `FCLK${clock} is stopped (FPGA${clock}_THR_CNT).`, {
      context: { clock: `FCLK${clock}` },
    });
}

function notConfigured(what: string, value: number): PynqLlmError {
  return new PynqLlmError('LINUX_LOGIC_NOT_CONFIGURED', `${what}: ${hex(value)}.`, { context: { value } });
}

/**
 * Holds the programmable logic in reset for a moment. The control registers stay unlocked, as Linux leaves them.
 * @param wait sleeps so many microseconds
 * @throws PynqLlmError LINUX_LOGIC_RESET_UNAVAILABLE
 */
export function resetThroughSlcr(
  slcr: RegisterWindow | undefined,
  wait: (microseconds: number) => void,
): void {
  if (slcr === undefined)
    throw new PynqLlmError(
      'LINUX_LOGIC_RESET_UNAVAILABLE',
      'The board description has no window `slcr`, through which a Zynq-7000 resets its logic.',
    );
  const { offset } = SLCR_REGISTERS.FPGA_RST_CTRL;
  slcr.write32(SLCR_REGISTERS.UNLOCK.offset, SLCR_KEYS.UNLOCK);
  const before = slcr.read32(offset);
  slcr.write32(offset, before | OUTPUT_RESETS);
  wait(RESET_US);
  slcr.write32(offset, before & ~OUTPUT_RESETS);
  wait(RESET_US);
}
