import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SLCR_REGISTERS } from '../../../board/registers/index.js';
import { readFclk, setFclk } from '../../../firmware-bridge/fpga-manager/fclk.js';
import { FCLK_100_MHZ, IO_PLL, REFERENCE_HZ, Slcr } from './support/slcr.js';

describe('a fabric clock', () => {
  it('is read as reference, PLL and divisors make it', () => {
    expect(readFclk(new Slcr(), 0, REFERENCE_HZ)).toEqual({
      index: 0,
      hz: 100_000_000,
      source: 'IO PLL',
      running: true,
      inReset: false,
      levelShifters: true,
    });
  });

  it('that Linux has stopped is not running, and one without level shifters says so', () => {
    const slcr = new Slcr();
    slcr.values.set(SLCR_REGISTERS.FPGA0_THR_CNT.offset, 1);
    slcr.values.set(SLCR_REGISTERS.LVL_SHFTR_EN.offset, 0xa);
    slcr.values.set(SLCR_REGISTERS.FPGA_RST_CTRL.offset, 1);
    const state = { running: false, inReset: true, levelShifters: false };
    expect(readFclk(slcr, 0, REFERENCE_HZ)).toMatchObject(state);
  });

  it('is set through unlocked registers, which are locked again afterwards', () => {
    const slcr = new Slcr();
    expect(setFclk(slcr, 0, 125_000_000, REFERENCE_HZ).hz).toBe(125_000_000);
    expect(slcr.locked).toBe(true);
  });

  it('leaves the registers unlocked if Linux had them so', () => {
    const slcr = new Slcr();
    slcr.locked = false;
    setFclk(slcr, 1, 50_000_000, REFERENCE_HZ);
    expect(slcr.locked).toBe(false);
  });

  it('starts again when it is set', () => {
    const slcr = new Slcr();
    slcr.values.set(SLCR_REGISTERS.FPGA0_THR_CNT.offset, 1);
    expect(setFclk(slcr, 0, 100_000_000, REFERENCE_HZ).running).toBe(true);
  });

  it('is never faster than asked for, and at most 1 % slower', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000_000, max: 250_000_000 }), (hz) => {
        const slcr = new Slcr();
        let reached: number;
        try {
          reached = setFclk(slcr, 0, hz, REFERENCE_HZ).hz;
        } catch (error) {
          expect(String(error)).toMatch(/FIRMWARE_CLOCK.*no divisors/);
          return;
        }
        expect(reached).toBeLessThanOrEqual(hz);
        expect(reached).toBeGreaterThan(hz * 0.99);
      }),
    );
  });

  it('that its PLL cannot make is an error, and nothing is written', () => {
    const slcr = new Slcr();
    expect(() => setFclk(slcr, 0, 240_000_000, REFERENCE_HZ)).toThrow(/no divisors/);
    expect(slcr.values.get(SLCR_REGISTERS.FPGA0_CLK_CTRL.offset)).toBe(FCLK_100_MHZ);
  });

  it('whose PLL is off is an error', () => {
    const slcr = new Slcr();
    slcr.values.set(SLCR_REGISTERS.IO_PLL_CTRL.offset, IO_PLL | 2);
    expect(() => readFclk(slcr, 0, REFERENCE_HZ)).toThrow(/IO PLL.*is off/);
  });

  it('that does not take its divisors is an error', () => {
    const slcr = new Slcr();
    slcr.stuck = true;
    expect(() => setFclk(slcr, 0, 50_000_000, REFERENCE_HZ)).toThrow(/does not take its divisors/);
  });
});
