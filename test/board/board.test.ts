import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type BoardImage, boardImage, reasonToSkip } from './board-image.js';
import { BoardShell } from './board-shell.js';
import { EmulatedBoard } from './emulated-board.js';
import { Measurements } from './measurements.js';

const BOOT_DEADLINE_MS = 300_000;
const reason = reasonToSkip();

if (reason !== undefined) test('an emulated PYNQ-Z1', ({ skip }) => skip(reason));

describe.skipIf(reason !== undefined)('an emulated PYNQ-Z1', () => {
  const measured = new Measurements();
  const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-board-'));
  const home = join(folder, 'home');
  let image: BoardImage;
  let board: EmulatedBoard;
  let shell: BoardShell;

  beforeAll(async () => {
    mkdirSync(home);
    image = await boardImage();
    for (const { part, seconds } of image.built) measured.seconds(`Building the ${part}`, seconds);
    board = await EmulatedBoard.start(image, folder);
  });

  afterAll(async () => {
    shell?.[Symbol.dispose]();
    await board?.stop();
    rmSync(folder, { recursive: true, force: true });
    measured.write(join('dist', 'test', 'board', 'measured.md'));
  });

  test('boots to the login prompt of its console, and SSH answers', async () => {
    measured.seconds('Switched on to `login:`', await board.waitForConsole(/pynq login:/, BOOT_DEADLINE_MS));
    shell = await measured.time('`login:` to a session over SSH', () => BoardShell.connect(board.sshPort));
    expect(await shell.run('uname -m && systemctl is-system-running --wait')).toBe('armv7l\nrunning');
  });
});
