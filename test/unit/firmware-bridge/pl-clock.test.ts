import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RegisterWindow } from '../../../board/board.js';
import { CRL_APB_REGISTERS, CRL_APB_WINDOW } from '../../../board/registers/index.js';
import { setPlClock } from '../../../firmware-bridge/fpga-manager/pl-clock.js';

/** PS_REF_CLK of a KV260. */
const REFERENCE_HZ = 33_333_000;
const IOPLL_1000 = 0x0001_3c00; // times 60, halved
const RPLL_1500 = 0x0001_5a00; // times 90, halved
/** As a Kria was seen: IOPLL / 5, and stopped. */
const STOPPED_200 = 0x0001_0500;

class Crl implements RegisterWindow {
  readonly name = 'crl';
  readonly base = CRL_APB_WINDOW.base;
  readonly size = CRL_APB_WINDOW.size;
  readonly writes: number[] = [];
  stuck = false;
  readonly values = new Map<number, number>([
    [CRL_APB_REGISTERS.IOPLL_CTRL.offset, IOPLL_1000],
    [CRL_APB_REGISTERS.RPLL_CTRL.offset, RPLL_1500],
    [CRL_APB_REGISTERS.PL0_REF_CTRL.offset, STOPPED_200],
  ]);

  read32(offset: number): number {
    return this.values.get(offset) ?? 0;
  }

  write32(offset: number, value: number): void {
    this.writes.push(value);
    if (!this.stuck) this.values.set(offset, value);
  }
}

describe('a clock of the logic of an UltraScale+', () => {
  it.each([
    [199_998_001, 'IOPLL', 199_998_000],
    [187_500_000, 'RPLL', 187_498_125],
    [100_000_000, 'IOPLL', 99_999_000],
  ])('at %i Hz comes from the PLL that gives it best, and runs', (hz, source, reached) => {
    const crl = new Crl();
    expect(setPlClock(crl, 0, hz, REFERENCE_HZ)).toEqual({ index: 0, hz: reached, source, running: true });
    const active = crl.writes.map((value) => (value >>> 24) & 1);
    expect(active).toEqual([0, 0, 1]);
    expect(crl.writes[1]! & 7).toBe(source === 'IOPLL' ? 0 : 2);
    expect([...crl.values.keys()]).toHaveLength(3);
    expect(crl.values.get(CRL_APB_REGISTERS.IOPLL_CTRL.offset)).toBe(IOPLL_1000);
  });

  it('is never faster than asked for, and at most 1 % slower', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000_000, max: 400_000_000 }), (hz) => {
        let reached: number;
        try {
          reached = setPlClock(new Crl(), 3, hz, REFERENCE_HZ).hz;
        } catch (error) {
          expect(String(error)).toMatch(/FIRMWARE_CLOCK.*no divisors/);
          return;
        }
        expect(reached).toBeLessThanOrEqual(hz);
        expect(reached).toBeGreaterThan(hz * 0.99);
      }),
    );
  });

  it('that no PLL gives is an error that names them, and nothing is written', () => {
    const crl = new Crl();
    crl.values.set(CRL_APB_REGISTERS.RPLL_CTRL.offset, RPLL_1500 | 1);
    expect(() => setPlClock(crl, 0, 187_500_000, REFERENCE_HZ)).toThrow(
      /FIRMWARE_CLOCK.*pl_clk0 cannot run at 187500000 Hz: IOPLL of 999990000 Hz has no divisors within 1 % below/,
    );
    crl.values.set(CRL_APB_REGISTERS.IOPLL_CTRL.offset, 0);
    expect(() => setPlClock(crl, 0, 100_000_000, REFERENCE_HZ)).toThrow(/no PLL runs/);
    expect(crl.writes).toEqual([]);
  });

  it('that does not take its divisors is an error', () => {
    const crl = new Crl();
    crl.stuck = true;
    expect(() => setPlClock(crl, 0, 100_000_000, REFERENCE_HZ)).toThrow(/FIRMWARE_CLOCK.*0xc0 reads 0x10500/);
  });
});
