import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { type BoardDescription, loadBoardDescription } from '../board/index.js';

/** Which board this machine is, where the device URL does not say: its owner writes it. */
export const INSTALLED_BOARD = '/etc/pynq-llm/board.toml';

/**
 * Reads a board description. A file whose one line is `board = "NAME"` names a shipped one.
 *
 * @param nameOrPath a shipped name or the path of a TOML file
 * @throws PynqLlmError DRIVER_BOARD_UNKNOWN, DRIVER_BOARD_FILE_INVALID
 */
export function loadInstalledBoard(nameOrPath: string): BoardDescription {
  return loadBoardDescription(
    nameOrPath.endsWith('.toml') ? (referenceIn(nameOrPath) ?? nameOrPath) : nameOrPath,
  );
}

/** The board that a file refers to; undefined where it is a description itself, or is no readable TOML. */
function referenceIn(path: string): string | undefined {
  try {
    const { board, ...rest } = parse(readFileSync(path, 'utf8'));
    return typeof board === 'string' && Object.keys(rest).length === 0 ? board : undefined;
  } catch {
    return undefined;
  }
}
