import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/index.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { failureOf } from '../driver/golden.js';
import {
  expectSame,
  findsHangs,
  HANGS,
  openCore,
  outlastsPauses,
  PAUSE_US,
  PausedBoard,
  random,
} from './paused-board.js';

/** Four lanes, one lane, and a core with another revision and clock. test/long has every board in both timings. */
const BOARDS = (
  [
    ['pynq-z1', 'synthesised'],
    ['pynq-z1-v1', 'systemc'],
    ['kv260-2026-v4', 'synthesised'],
  ] as const
).map(([name, timing]) => ({ ...loadBoardDescription(name), timing }));

describe('a board whose transfers are split', () => {
  it.each(BOARDS)('$name with $timing cycles is not given up for pauses of the thread', outlastsPauses);

  it('is not given up for pauses in real time', () => {
    const description = loadBoardDescription('pynq-z1');
    const next = random(3);
    let pauses = 0;
    const pause = () => {
      if (pauses === 10 || next() > 0.1) return 0;
      pauses++;
      return PAUSE_US;
    };
    const expected = openCore(openMockBoard(description), 'staged').multiply();
    const { board } = new PausedBoard(description, { pause, interrupts: false, realTime: true });
    const core = openCore(board, 'staged');
    while (pauses < 10) expectSame(core.multiply(), expected);
  });
});

describe('a device that hangs', () => {
  it.each([
    ...BOARDS.map((description) => ({ description, interrupts: true })),
    { description: BOARDS[0], interrupts: false },
  ])(
    'is found in 1.2 times its deadline: $description.name, $description.timing, interrupts: $interrupts',
    ({ description, interrupts }) => findsHangs(description, interrupts),
  );

  it('is found in 1.2 times its deadline, not counting pauses of the thread', () => {
    const next = random(5);
    const pause = () => (next() > 0.1 ? 0 : PAUSE_US);
    const paused = new PausedBoard(loadBoardDescription('pynq-z1'), { pause, interrupts: true });
    const core = openCore(paused.board, 'resident');
    for (const hang of HANGS) {
      paused.mock.injectFault(hang);
      const { deadlineUs } = failureOf(core.multiply).context;
      expect(paused.failedUs).toBeGreaterThanOrEqual(Number(deadlineUs));
      expect(paused.failedUs - paused.failedPausedUs).toBeLessThan(1.2 * Number(deadlineUs));
    }
  });
});
