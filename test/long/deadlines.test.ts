import { describe, it } from 'vitest';
import { BOARDS, findsHangs, outlastsPauses } from '../unit/linux-device/paused-board.js';

describe.each(BOARDS)('$name with $timing cycles', (description) => {
  it('is not given up for pauses of the thread', () => outlastsPauses(description));

  it('is found in 1.2 times its deadline where it hangs, by interrupts', () => findsHangs(description, true));
});

const POLLED = BOARDS.filter(({ name, timing }) => /^pynq-z1(-v1)?$/.test(name) && timing === 'synthesised');
it.each(POLLED)('$name is found in 1.2 times its deadline where it hangs, by looking', (description) =>
  findsHangs(description, false),
);
