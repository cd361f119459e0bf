import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { openEmulator } from '../../bench/board/emulator.js';
import { lacking } from '../system/support/required-packages.js';

const CHILD = fileURLToPath(new URL('../system/support/refusal-child.js', import.meta.url));
const REFUSALS = 2;
/** A board's Cortex-A9 executes half a billion a second: a fifth of one is left for the way there and back. */
const MOST_MILLIONS = [75, 30];
const DEADLINE_MS = 300_000;

it(
  'a model that does not fit is refused with so few armv7 instructions on the device’s thread',
  async ({ skip, annotate }) => {
    const emulator = await openEmulator();
    if ('missing' in emulator) return skip(lacking(emulator.missing));
    const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-count-'));
    try {
      const counts = join(folder, 'counts');
      const args = [join(folder, 'model.gguf'), `${REFUSALS}`];
      const said = await emulator.run(CHILD, args, counts, DEADLINE_MS);
      expect(said).toBe('refused\n'.repeat(REFUSALS));
      const millions = Array.from({ length: REFUSALS }, () => 0);
      for (const line of readFileSync(counts, 'utf8').trim().split('\n')) {
        const [window, , instructions] = line.split(' ').map(Number);
        // Before the first refusal the program starts and makes the file.
        if (window > 0) millions[window - 1] += instructions / 1e6;
      }
      await annotate(`${millions.map((count) => count.toFixed(1)).join(' and ')} million instructions`);
      millions.forEach((count, i) => {
        expect(count).toBeGreaterThan(1);
        expect(count).toBeLessThan(MOST_MILLIONS[i]);
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  DEADLINE_MS,
);
