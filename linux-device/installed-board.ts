import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { type BoardDescription, loadBoardDescription } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';

/** Which board this machine is, where the device URL does not say: its owner writes it. */
export const INSTALLED_BOARD = '/etc/pynq-llm/board.toml';

/** What an installed file says that refers to a shipped description. */
interface Reference {
  readonly board: string;
  /** Hz; slower than the description's. */
  readonly clock_hz?: number;
}

/**
 * Reads a board description. A file that has only `board = "NAME"` names a shipped one; `clock_hz` beside it runs the
 * core slower than its design allows.
 *
 * @param nameOrPath a shipped name or the path of a TOML file
 * @throws PynqLlmError DRIVER_BOARD_UNKNOWN, DRIVER_BOARD_FILE_INVALID
 */
export function loadInstalledBoard(nameOrPath: string): BoardDescription {
  const reference = nameOrPath.endsWith('.toml') ? referenceIn(nameOrPath) : undefined;
  if (reference === undefined) return loadBoardDescription(nameOrPath);
  const description = loadBoardDescription(reference.board);
  return reference.clock_hz === undefined ? description : atClock(description, reference.clock_hz);
}

/**
 * A design with a slower clock.
 * @throws PynqLlmError DRIVER_BOARD_FILE_INVALID where that is no clock of the design, or nothing sets the board's clock
 */
export function atClock(description: BoardDescription, clockHz: number): BoardDescription {
  const { name, fpga } = description;
  const invalid = (why: string) =>
    new PynqLlmError('DRIVER_BOARD_FILE_INVALID', `${name} cannot run at ${clockHz} Hz: ${why}.`, {
      context: { board: name, clockHz },
      remedy: 'Choose another clock, or none.',
    });
  if (fpga?.clock === undefined || fpga.referenceHz === undefined)
    throw invalid('its description does not say how its clock is set ([fpga] clock and reference_hz)');
  if (!Number.isInteger(clockHz) || clockHz < 1_000_000 || clockHz > description.clockHz)
    throw invalid(`its design is made for 1 MHz to ${description.clockHz} Hz, in whole Hz`);
  return { ...description, clockHz };
}

/** The board that a file refers to; undefined where it is a description itself, or is no readable TOML. */
function referenceIn(path: string): Reference | undefined {
  try {
    const { board, clock_hz, ...rest } = parse(readFileSync(path, 'utf8'));
    if (typeof board !== 'string' || Object.keys(rest).length > 0) return undefined;
    if (clock_hz === undefined) return { board };
    return typeof clock_hz === 'number' ? { board, clock_hz } : undefined;
  } catch {
    return undefined;
  }
}
