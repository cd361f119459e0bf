import { CRL_APB_REGISTERS, decodeRegister, type RegisterWindow } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { bestDivisors, type FclkIndex } from './fclk.js';

/** One clock from the processor to the logic of a Zynq UltraScale+, as its registers have it. */
export interface PlClockState {
  readonly index: FclkIndex;
  /** Hz, from the reference clock, the PLL and both divisors. */
  readonly hz: number;
  readonly source: string;
  readonly running: boolean;
}

/** The sources that lie in the same block of registers, by SRCSEL. */
const SOURCES = [
  { name: 'IOPLL', select: 0, register: CRL_APB_REGISTERS.IOPLL_CTRL },
  { name: 'RPLL', select: 2, register: CRL_APB_REGISTERS.RPLL_CTRL },
] as const;
const SOURCE_AND_DIVISORS = 0x003f_3f07;
const ACTIVE = 0x0100_0000;

/**
 * Sets a clock of the logic to the highest frequency not above `hz` that one of the PLLs and the divisors give, lets it
 * run, and reads it back. PLLs feed other parts of the processor and are never changed.
 * @param crl the window at 0xFF5E0000: part of the processor, safe before any access to the logic
 * @param referenceHz PS_REF_CLK of the board: 33.333 MHz on a KV260
 * @throws PynqLlmError FIRMWARE_CLOCK if that is more than 1 % below, or does not read back
 */
export function setPlClock(
  crl: RegisterWindow,
  index: FclkIndex,
  hz: number,
  referenceHz: number,
): PlClockState {
  const { offset } = CRL_APB_REGISTERS[`PL${index}_REF_CTRL`];
  const running = SOURCES.flatMap((source) => {
    const pllHz = hzOf(crl, source.register, referenceHz);
    return pllHz === undefined ? [] : [{ ...source, pllHz }];
  });
  const [best] = running
    .flatMap((source) => {
      const divisors = bestDivisors(source.pllHz, hz);
      return divisors ? [{ ...source, ...divisors }] : [];
    })
    .toSorted((a, b) => b.hz - a.hz);
  if (!best) {
    const plls = running.map(({ name, pllHz }) => `${name} of ${Math.round(pllHz)} Hz`).join(', ');
    throw new PynqLlmError(
      'FIRMWARE_CLOCK',
      `pl_clk${index} cannot run at ${hz} Hz: ${plls === '' ? 'no PLL runs' : `${plls} has no divisors within 1 % below it`}.`,
      { context: { clock: index, hz } },
    );
  }
  const before = crl.read32(offset);
  const value =
    ((before & ~(SOURCE_AND_DIVISORS | ACTIVE)) |
      best.select |
      (best.divisor0 << 8) |
      (best.divisor1 << 16)) >>>
    0;
  // The logic sees no clock while source and divisors change.
  crl.write32(offset, (before & ~ACTIVE) >>> 0);
  crl.write32(offset, value);
  crl.write32(offset, (value | ACTIVE) >>> 0);
  const after = crl.read32(offset);
  if (after !== (value | ACTIVE) >>> 0)
    throw new PynqLlmError(
      'FIRMWARE_CLOCK',
      `pl_clk${index} does not take its divisors: register 0x${offset.toString(16)} reads 0x${after.toString(16)}.`,
      { context: { clock: index, hz } },
    );
  return { index, hz: best.hz, source: best.name, running: true };
}

/** Undefined where the PLL is off or in reset. */
function hzOf(
  crl: RegisterWindow,
  register: (typeof SOURCES)[number]['register'],
  referenceHz: number,
): number | undefined {
  const fields = decodeRegister(register, crl.read32(register.offset));
  const { RESET, BYPASS, FBDIV, DIV2 } = Object.fromEntries(fields.map(({ name, value }) => [name, value]));
  if (RESET || !FBDIV) return undefined;
  return BYPASS ? referenceHz : (referenceHz * FBDIV) / (DIV2 ? 2 : 1);
}
