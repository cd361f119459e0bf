import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadInstalledBoard } from '../../../linux-device/installed-board.js';

function file(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'installed-board-')), 'board.toml');
  writeFileSync(path, text);
  return path;
}

it('an installed file may name a published board', () => {
  expect(loadInstalledBoard(file('board = "kv260"\n')).name).toBe('kv260');
});

it('an installed file may run a published board slower', () => {
  const board = loadInstalledBoard(file('board = "kv260-2026-v3"\nclock_hz = 100_000_000\n'));
  expect(board).toMatchObject({ name: 'kv260-2026-v3', clockHz: 100_000_000 });
});

it('an installed file may be a description itself', () => {
  const path = file(readFileSync('boards/pynq-z1.toml', 'utf8').replace('name = "pynq-z1"', 'name = "mine"'));
  expect(loadInstalledBoard(path).name).toBe('mine');
});

it('a name needs no file', () => {
  expect(loadInstalledBoard('pynq-z1').name).toBe('pynq-z1');
});

it.each([
  ['board = "nowhere"\n', 'DRIVER_BOARD_UNKNOWN'],
  ['board = "kv260"\nname = "x"\n', 'DRIVER_BOARD_FILE_INVALID'],
  ['board = "kv260-2026-v3"\nclock_hz = 199_998_002\n', 'made for 1 MHz to 199998001 Hz'],
  ['board = "kv260-2026-v3"\nclock_hz = 0.5\n', 'DRIVER_BOARD_FILE_INVALID'],
  ['board = "kv260"\nclock_hz = 50_000_000\n', 'does not say how its clock is set'],
  ['board = "kv260-2026-v3"\nclock_hz = "fast"\n', 'DRIVER_BOARD_FILE_INVALID'],
  ['board = \n', 'DRIVER_BOARD_FILE_INVALID'],
  ['board = 5\n', 'DRIVER_BOARD_FILE_INVALID'],
])('%j is refused', (text, code) => {
  expect(() => loadInstalledBoard(file(text))).toThrow(code);
});

it('a file that is not there is named', () => {
  expect(() => loadInstalledBoard('/nowhere/board.toml')).toThrow(
    /DRIVER_BOARD_FILE_INVALID.*\/nowhere\/board.toml/,
  );
});
