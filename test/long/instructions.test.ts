import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PARTS } from '../../bench/board/parts.js';
import { countSmall, INSTRUCTIONS_FILE, type RecordedInstructions } from '../system/support/count-small.js';
import { lacking } from '../system/support/required-packages.js';

/** Counts repeat to 1 to 3 %. */
const MARGIN = 1.05;
/** Thousands: what a garbage collection or a late compilation may add to a small part. */
const SLACK = 20;
const ALL = 'all of it';

const counted = await countSmall();
if ('missing' in counted)
  it('armv7 instructions of a token', ({ skip }) => skip(lacking(String(counted.missing))));
else
  describe('armv7 instructions of a token of a small model, on a device that takes no time', () =>
    gate(counted));

function gate(now: RecordedInstructions): void {
  const recorded = JSON.parse(readFileSync(INSTRUCTIONS_FILE, 'utf8')) as RecordedInstructions;

  it.each(Object.keys(recorded))(
    'with %s memory are at most 5 % over what was reached, part by part',
    (kind) => {
      const over = Object.entries(recorded[kind].thousands).flatMap(([context, parts]) =>
        Object.entries(parts)
          .map(([part, thousands]) => ({ context, part, thousands, now: now[kind].thousands[context][part] }))
          .filter((one) => !(one.now <= one.thousands * MARGIN + SLACK)),
      );
      expect(over, 'npm run record:instructions records what is meant to be').toEqual([]);
    },
  );

  it.each(Object.keys(recorded))(
    'with %s memory take the accesses and transfers that were recorded',
    (kind) => {
      expect(now[kind].registerAccesses).toBeLessThanOrEqual(recorded[kind].registerAccesses);
      expect(now[kind].dmaTransfers).toBeLessThanOrEqual(recorded[kind].dmaTransfers);
    },
  );

  it.each(Object.entries(now))(
    'with %s memory have parts that add up to what is counted without marks',
    (_, { thousands }) => {
      for (const parts of Object.values(thousands)) {
        const sum = PARTS.reduce((total, part) => total + parts[part], 0);
        expect(Math.abs(sum - parts[ALL])).toBeLessThanOrEqual(0.03 * parts[ALL] + SLACK);
        for (const part of PARTS) expect(parts[part], part).toBeGreaterThan(0);
      }
    },
  );

  it('are with reserved memory within 10 % of those with u-dma-buf', () => {
    const [reserved, cached] = ['reserved', 'u-dma-buf'].map(
      (kind) => now[kind].thousands['context 40'][ALL],
    );
    expect(Math.abs(reserved / cached - 1)).toBeLessThanOrEqual(0.1);
  });
}
