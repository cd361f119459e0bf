import { expect, it } from 'vitest';
import { countUpload } from '../../bench/board/count-upload.js';
import { openEmulator } from '../../bench/board/emulator.js';
import { lacking } from '../system/support/required-packages.js';

const MIB = 2 ** 20;
/** SHA-256 alone takes 24 of them. */
const MOST_INSTRUCTIONS = 30;
const DEADLINE_MS = 600_000;

it(
  'an agent spends less than 30 armv7 instructions on a byte of an upload',
  async ({ skip, annotate }) => {
    const emulator = await openEmulator();
    if ('missing' in emulator) return skip(lacking(emulator.missing));
    const counted = await countUpload(emulator, 32 * MIB, DEADLINE_MS);
    await annotate(`${counted.toFixed(2)} instructions a byte`);
    expect(counted).toBeGreaterThan(20);
    expect(counted).toBeLessThan(MOST_INSTRUCTIONS);
  },
  DEADLINE_MS,
);
