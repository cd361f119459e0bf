import { decodeRegister, type RegisterWindow, SLCR_KEYS, SLCR_REGISTERS } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';

/** Which of the four clocks from the processor to the programmable logic. */
export type FclkIndex = 0 | 1 | 2 | 3;

/** One fabric clock of a Zynq-7000, as its registers have it. */
export interface FclkState {
  readonly index: FclkIndex;
  /** Hz, from the reference clock, the PLL and both divisors. */
  readonly hz: number;
  readonly source: string;
  readonly running: boolean;
  /** Whether the reset that goes with this clock is held. */
  readonly inReset: boolean;
  /** Whether the level shifters between processor and logic are on: an access hangs without them. */
  readonly levelShifters: boolean;
}

const PLL_OF_SOURCE = {
  'IO PLL': SLCR_REGISTERS.IO_PLL_CTRL,
  'ARM PLL': SLCR_REGISTERS.ARM_PLL_CTRL,
  'DDR PLL': SLCR_REGISTERS.DDR_PLL_CTRL,
} as const;
const CLOCKS = [
  SLCR_REGISTERS.FPGA0_CLK_CTRL,
  SLCR_REGISTERS.FPGA1_CLK_CTRL,
  SLCR_REGISTERS.FPGA2_CLK_CTRL,
  SLCR_REGISTERS.FPGA3_CLK_CTRL,
] as const;
const THROTTLES = [
  SLCR_REGISTERS.FPGA0_THR_CNT,
  SLCR_REGISTERS.FPGA1_THR_CNT,
  SLCR_REGISTERS.FPGA2_THR_CNT,
  SLCR_REGISTERS.FPGA3_THR_CNT,
] as const;
const MAX_DIVISOR = 63;
const LEVEL_SHIFTERS_ON = 0xf;
/** A design meets timing at its own frequency: never faster, and a per cent slower is what divisors can miss. */
const MAX_SHORTFALL = 0.01;

/**
 * Reads one fabric clock. The SLCR is part of the processor: this is safe before any access to the logic.
 * @param slcr the window at 0xF8000000
 * @param referenceHz PS_CLK of the board: 50 MHz on PYNQ-Z1 and Z2
 * @throws PynqLlmError FIRMWARE_CLOCK if its PLL is off
 */
export function readFclk(slcr: RegisterWindow, index: FclkIndex, referenceHz: number): FclkState {
  const control = fieldsOf(slcr, CLOCKS[index]);
  const source = sourceOf(control.SRCSEL!);
  const hz = pllHz(slcr, source, referenceHz) / (control.DIVISOR0 || 1) / (control.DIVISOR1 || 1);
  return {
    index,
    hz,
    source,
    running: fieldsOf(slcr, THROTTLES[index]).STOPPED === 0,
    inReset: ((slcr.read32(SLCR_REGISTERS.FPGA_RST_CTRL.offset) >>> index) & 1) === 1,
    levelShifters: (slcr.read32(SLCR_REGISTERS.LVL_SHFTR_EN.offset) & 0xf) === LEVEL_SHIFTERS_ON,
  };
}

/**
 * Sets a fabric clock to the highest frequency not above `hz` that its PLL and divisors give, lets it run, and reads it back.
 * The PLL itself feeds other parts of the processor and is never changed. The SLCR is left locked or unlocked as it was.
 * @throws PynqLlmError FIRMWARE_CLOCK if that is more than 1 % below, or does not read back
 */
export function setFclk(slcr: RegisterWindow, index: FclkIndex, hz: number, referenceHz: number): FclkState {
  const { offset } = CLOCKS[index];
  const before = slcr.read32(offset);
  const pll = pllHz(slcr, sourceOf((before >>> 4) & 0b11), referenceHz);
  const best = bestDivisors(pll, hz);
  if (!best)
    throw new PynqLlmError(
      'FIRMWARE_CLOCK',
      `FCLK${index} cannot run at ${hz} Hz: a PLL of ${pll} Hz has no divisors within ${MAX_SHORTFALL * 100} % below it.`,
      { context: { clock: index, hz, pllHz: pll } },
    );
  const value = ((before & ~0x03f0_3f00) | (best.divisor0 << 8) | (best.divisor1 << 20)) >>> 0;
  unlocked(slcr, () => {
    slcr.write32(offset, value);
    slcr.write32(THROTTLES[index].offset, 0);
  });
  const after = readFclk(slcr, index, referenceHz);
  if (slcr.read32(offset) !== value || !after.running)
    throw new PynqLlmError(
      'FIRMWARE_CLOCK',
      `FCLK${index} does not take its divisors: register 0x${offset.toString(16)} was given 0x${value.toString(16)} and reads 0x${slcr.read32(offset).toString(16)}.`,
      { context: { clock: index, hz } },
    );
  return after;
}

/**
 * The pair that comes nearest to `hz` without exceeding it, at most 1 % below; where several do, the one with the
 * smallest first divisor.
 */
export function bestDivisors(
  pll: number,
  hz: number,
): { divisor0: number; divisor1: number; hz: number } | undefined {
  let best: { divisor0: number; divisor1: number; hz: number } | undefined;
  for (let divisor0 = 1; divisor0 <= MAX_DIVISOR; divisor0++)
    for (let divisor1 = 1; divisor1 <= MAX_DIVISOR; divisor1++) {
      const reached = pll / divisor0 / divisor1;
      if (reached <= hz && reached > (best?.hz ?? hz * (1 - MAX_SHORTFALL)))
        best = { divisor0, divisor1, hz: reached };
    }
  return best;
}

function pllHz(slcr: RegisterWindow, source: keyof typeof PLL_OF_SOURCE, referenceHz: number): number {
  const { RESET, PWRDWN, BYPASS_FORCE, FDIV } = fieldsOf(slcr, PLL_OF_SOURCE[source]);
  if (RESET || PWRDWN || !FDIV)
    throw new PynqLlmError('FIRMWARE_CLOCK', `The ${source}, which feeds the logic, is off or in reset.`, {
      context: { source },
      remedy: 'The boot loader sets it up: write the SD card again with an image for this board.',
    });
  return BYPASS_FORCE ? referenceHz : referenceHz * FDIV;
}

function sourceOf(select: number): keyof typeof PLL_OF_SOURCE {
  return select < 2 ? 'IO PLL' : select === 2 ? 'ARM PLL' : 'DDR PLL';
}

function fieldsOf(
  slcr: RegisterWindow,
  register: Parameters<typeof decodeRegister>[0],
): Record<string, number> {
  const fields = decodeRegister(register, slcr.read32(register.offset));
  return Object.fromEntries(fields.map(({ name, value }) => [name, value]));
}

function unlocked(slcr: RegisterWindow, change: () => void): void {
  const locked = (slcr.read32(SLCR_REGISTERS.LOCKSTA.offset) & 1) === 1;
  if (locked) slcr.write32(SLCR_REGISTERS.UNLOCK.offset, SLCR_KEYS.UNLOCK);
  try {
    change();
  } finally {
    if (locked) slcr.write32(SLCR_REGISTERS.LOCK.offset, SLCR_KEYS.LOCK);
  }
}
