import type { BitField, Register } from './register.js';

const UG1087 = 'UG1087, CRL_APB';

/** Clocks and resets of the Zynq UltraScale+'s low-power domain: part of the processor, always clocked. */
export const CRL_APB_WINDOW = { base: 0xff5e_0000, size: 0x1000 } as const;

const PLL_FIELDS = {
  RESET: { lsb: 0, width: 1, access: 'rw', description: 'held in reset' },
  BYPASS: { lsb: 3, width: 1, access: 'rw', description: 'bypassed: the reference clock passes through' },
  FBDIV: { lsb: 8, width: 7, access: 'rw', description: 'multiplies the reference clock' },
  DIV2: { lsb: 16, width: 1, access: 'rw', description: 'halves the output' },
} as const satisfies Record<string, BitField>;

const CLOCK_FIELDS = {
  SRCSEL: {
    lsb: 0,
    width: 3,
    access: 'rw',
    description: 'source',
    values: { 0: 'IOPLL', 2: 'RPLL', 3: 'DPLL' },
  },
  DIVISOR0: { lsb: 8, width: 6, access: 'rw', description: 'first divisor' },
  DIVISOR1: { lsb: 16, width: 6, access: 'rw', description: 'second divisor' },
  CLKACT: { lsb: 24, width: 1, access: 'rw', description: 'the clock runs' },
} as const satisfies Record<string, BitField>;

const pll = (name: string, offset: number): Register => ({
  offset,
  access: 'rw',
  reset: 0,
  description: `${name} control`,
  source: UG1087,
  fields: PLL_FIELDS,
});

const clock = (index: number): Register => ({
  offset: 0xc0 + 4 * index,
  access: 'rw',
  reset: 0,
  description: `source and divisors of pl_clk${index}`,
  source: UG1087,
  fields: CLOCK_FIELDS,
});

/** The registers that concern the clocks of the programmable logic; the block has many more, which nothing here touches. */
export const CRL_APB_REGISTERS = {
  IOPLL_CTRL: pll('IOPLL', 0x20),
  RPLL_CTRL: pll('RPLL', 0x30),
  PL0_REF_CTRL: clock(0),
  PL1_REF_CTRL: clock(1),
  PL2_REF_CTRL: clock(2),
  PL3_REF_CTRL: clock(3),
} as const satisfies Record<string, Register>;
