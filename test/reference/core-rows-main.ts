import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openEmulator } from '../../bench/board/emulator.js';
import { COUNTED_COLUMNS, COUNTED_ROWS, COUNTED_TYPES, MULTIPLIED_TYPES } from './core-rows-types.js';

/*
 * What making a model's rows for the core costs on armv7, in instructions, and what multiplying them with a column on the CPU does: the
 * table of docs/weights.md.
 *
 *     node dist/test/reference/core-rows-main.js
 */

const CHILD = fileURLToPath(new URL('./core-rows-child.js', import.meta.url));
const DEADLINE_MS = 900_000;

const emulator = await openEmulator();
if ('missing' in emulator) throw new Error(`nothing was counted: ${emulator.missing}`);
const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-rows-'));
try {
  const file = join(folder, 'counts');
  await emulator.run(CHILD, [], file, DEADLINE_MS);
  const windows: number[] = [];
  for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
    const [window, , instructions] = line.split(' ').map(Number);
    windows[window] = (windows[window] ?? 0) + instructions;
  }
  const each = (index: number) => (windows[2 * index + 1] / (COUNTED_ROWS * COUNTED_COLUMNS)).toFixed(1);
  process.stdout.write(
    '| stored type | made for the core, a weight | on the CPU, a multiply-add |\n|---|---|---|\n',
  );
  for (const [i, name] of COUNTED_TYPES.entries()) {
    const multiplied = (MULTIPLIED_TYPES as readonly string[]).indexOf(name);
    const onCpu = multiplied < 0 ? '' : each(COUNTED_TYPES.length + multiplied);
    process.stdout.write(`| ${name} | ${each(i)} | ${onCpu} |\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
