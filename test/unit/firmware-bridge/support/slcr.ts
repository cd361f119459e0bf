import type { RegisterWindow } from '../../../../board/board.js';
import { SLCR_REGISTERS, SLCR_WINDOW } from '../../../../board/registers/index.js';

export const REFERENCE_HZ = 50_000_000;
/** IO PLL of a PYNQ-Z1: 50 MHz times 20. */
export const IO_PLL = 0x0001_4008;
export const FCLK_100_MHZ = 0x0020_0500;

/** The SLCR as hardware has it: writes are ignored while it is locked. */
export class Slcr implements RegisterWindow {
  readonly name = 'slcr';
  readonly base = SLCR_WINDOW.base;
  readonly size = SLCR_WINDOW.size;
  readonly values = new Map<number, number>([
    [SLCR_REGISTERS.IO_PLL_CTRL.offset, IO_PLL],
    [SLCR_REGISTERS.FPGA0_CLK_CTRL.offset, FCLK_100_MHZ],
    [SLCR_REGISTERS.FPGA_RST_CTRL.offset, 0],
    [SLCR_REGISTERS.LVL_SHFTR_EN.offset, 0xf],
  ]);
  locked = true;
  stuck = false;

  read32(offset: number): number {
    if (offset === SLCR_REGISTERS.LOCKSTA.offset) return Number(this.locked);
    return this.values.get(offset) ?? 0;
  }

  write32(offset: number, value: number): void {
    if (offset === SLCR_REGISTERS.UNLOCK.offset && value === 0xdf0d) this.locked = false;
    else if (offset === SLCR_REGISTERS.LOCK.offset && value === 0x767b) this.locked = true;
    else if (!this.locked && !this.stuck) this.values.set(offset, value);
  }
}
