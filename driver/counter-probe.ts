import { type BoardDescription, counterMap, monitorsOf, type RegisterWindow } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';

/** What is written to see what a register is: even, because a reset lies in bit 0 and nothing may be reset. */
const PATTERN = 0x5a;
const FIRST = { revision: 'v3', hwc: { layout: 'reset-first', monitors: 15 } } as const;
const LAST_V3 = { revision: 'v3', hwc: { layout: 'reset-last', monitors: 13 } } as const;
const LAST_V4 = { revision: 'v4', hwc: { layout: 'reset-last', monitors: 14 } } as const;

type Design = typeof FIRST | typeof LAST_V3 | typeof LAST_V4;

/**
 * Asks the registers which of the designs with four lanes is loaded, and refuses counters that are not where the
 * description has them: the driver would never reset them, and read states as counts. The core is idle. Targets are
 * restored. v1, whose designs have one layout or no window, is not asked.
 *
 * @throws PynqLlmError DRIVER_COUNTERS_MISMATCH, DRIVER_COUNTERS_UNKNOWN
 */
export function checkCounterDesign(description: BoardDescription, window: RegisterWindow): void {
  if (description.revision === 'v1') return;
  const described = counterMap(description);
  const found = askCounterDesign(description, window);
  // Revisions with the same counters in the same places are told apart by nothing here.
  if (counterMap(found).reset === described.reset) return;
  throw new PynqLlmError(
    'DRIVER_COUNTERS_MISMATCH',
    `${description.title} is described with the counters of ${name(description)}; the bitstream that is loaded answers as ${name(found)}.`,
    { context: { board: description.name, described: name(description), found: name(found) } },
  );
}

/** The first register is the reset, of one bit, or the target of monitor 0; so is the one behind 13 monitors. */
function askCounterDesign(description: BoardDescription, window: RegisterWindow): Design {
  if (takesPattern(description, window, counterMap(FIRST).reset))
    return takesPattern(description, window, counterMap(LAST_V3).reset) ? LAST_V4 : LAST_V3;
  return FIRST;
}

/**
 * Whether a register is a target, which keeps what is written, and not a reset, whose only bit stays 0.
 * @throws PynqLlmError DRIVER_COUNTERS_UNKNOWN where it is neither
 */
function takesPattern(description: BoardDescription, window: RegisterWindow, offset: number): boolean {
  const before = window.read32(offset);
  window.write32(offset, PATTERN);
  const answer = window.read32(offset);
  if (answer === PATTERN) window.write32(offset, before);
  if (answer === PATTERN || answer === 0) return answer === PATTERN;
  throw new PynqLlmError(
    'DRIVER_COUNTERS_UNKNOWN',
    `Register 0x${offset.toString(16)} of the counters of ${description.title} was given 0x${PATTERN.toString(16)} and reads 0x${answer.toString(16)}: it is neither a target state nor the reset.`,
    { context: { board: description.name, offset, answer } },
  );
}

function name(design: Pick<BoardDescription, 'revision' | 'hwc'>): string {
  const count = monitorsOf(design).length;
  const [place, since] =
    counterMap(design).reset === counterMap(FIRST).reset ? ['before', 'before 2026'] : ['behind', 'of 2026'];
  return `${design.revision} ${since} (${count} monitors, the reset ${place} them)`;
}
