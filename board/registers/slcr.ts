import type { BitField, Register } from './register.js';

const UG585 = 'UG585, appendix B, slcr';

/** Where the Zynq-7000's system level control registers are: part of the processor, always clocked. */
export const SLCR_WINDOW = { base: 0xf800_0000, size: 0x1000 } as const;
/** Written to UNLOCK and LOCK. */
export const SLCR_KEYS = { UNLOCK: 0xdf0d, LOCK: 0x767b } as const;

const PLL_FIELDS = {
  RESET: { lsb: 0, width: 1, access: 'rw', description: 'held in reset' },
  PWRDWN: { lsb: 1, width: 1, access: 'rw', description: 'powered down' },
  BYPASS_QUAL: { lsb: 3, width: 1, access: 'rw', description: 'bypass follows the boot strap' },
  BYPASS_FORCE: {
    lsb: 4,
    width: 1,
    access: 'rw',
    description: 'bypassed: the reference clock passes through',
  },
  FDIV: { lsb: 12, width: 7, access: 'rw', description: 'multiplies the reference clock' },
} as const satisfies Record<string, BitField>;

const CLOCK_FIELDS = {
  SRCSEL: {
    lsb: 4,
    width: 2,
    access: 'rw',
    description: 'source',
    values: { 0: 'IO PLL', 1: 'IO PLL', 2: 'ARM PLL', 3: 'DDR PLL' },
  },
  DIVISOR0: { lsb: 8, width: 6, access: 'rw', description: 'first divisor; 0 stands for 1' },
  DIVISOR1: { lsb: 20, width: 6, access: 'rw', description: 'second divisor; 0 stands for 1' },
} as const satisfies Record<string, BitField>;

const pll = (name: string, offset: number, reset: number): Register => ({
  offset,
  access: 'rw',
  reset,
  description: `${name} PLL control`,
  source: UG585,
  fields: PLL_FIELDS,
});

const clock = (index: number): Register => ({
  offset: 0x170 + 0x10 * index,
  access: 'rw',
  reset: 0x0010_1800,
  description: `divisors of FCLK${index}`,
  source: UG585,
  fields: CLOCK_FIELDS,
});

/** Bit 0 stops the clock: Linux's clock driver (zynq, clkc) gates FCLK with it. */
const throttle = (index: number): Register => ({
  offset: 0x178 + 0x10 * index,
  access: 'rw',
  reset: 0,
  description: `FCLK${index} throttle count; Linux stops the clock with bit 0`,
  source: UG585,
  fields: { STOPPED: { lsb: 0, width: 1, access: 'rw', description: 'clock stopped' } },
});

/** The registers that concern the programmable logic; the block has many more, which nothing here touches. */
export const SLCR_REGISTERS = {
  LOCK: { offset: 0x004, access: 'pulse', reset: 0, description: 'locks against writes', source: UG585 },
  UNLOCK: { offset: 0x008, access: 'pulse', reset: 0, description: 'unlocks', source: UG585 },
  LOCKSTA: {
    offset: 0x00c,
    access: 'ro',
    reset: 1,
    description: 'whether writes are ignored',
    source: UG585,
    fields: { LOCKED: { lsb: 0, width: 1, access: 'ro', description: 'writes are ignored' } },
  },
  ARM_PLL_CTRL: pll('ARM', 0x100, 0x0001_a008),
  DDR_PLL_CTRL: pll('DDR', 0x104, 0x0001_a008),
  IO_PLL_CTRL: pll('IO', 0x108, 0x0001_a008),
  FPGA0_CLK_CTRL: clock(0),
  FPGA0_THR_CNT: throttle(0),
  FPGA1_CLK_CTRL: clock(1),
  FPGA1_THR_CNT: throttle(1),
  FPGA2_CLK_CTRL: clock(2),
  FPGA2_THR_CNT: throttle(2),
  FPGA3_CLK_CTRL: clock(3),
  FPGA3_THR_CNT: throttle(3),
  FPGA_RST_CTRL: {
    offset: 0x240,
    access: 'rw',
    reset: 0x01f3_3f0f,
    description: 'resets towards the programmable logic, one bit for each FCLK',
    source: UG585,
    fields: { OUT_RST: { lsb: 0, width: 4, access: 'rw', description: 'resets held' } },
  },
  LVL_SHFTR_EN: {
    offset: 0x900,
    access: 'rw',
    reset: 0,
    description: 'level shifters between processor and logic: 0xF enables them all',
    source: UG585,
  },
} as const satisfies Record<string, Register>;
