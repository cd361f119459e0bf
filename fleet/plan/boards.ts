import { type BoardDescription, loadBoardDescription, withDmaMemory } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';

/** What is to be other than a description has it. */
export interface BoardChanges {
  readonly dmaBytes?: number;
  readonly timing?: BoardDescription['timing'];
  readonly unpack?: BoardDescription['unpack'];
}

const DEFAULT_BOARD = 'pynq-z1';

/**
 * The boards of a fleet by their descriptions.
 * @param kinds shipped names or .toml files, each with how many there are
 * @param count of all, where one kind is named without a number
 * @throws PynqLlmError FLEET_PLAN_OPTIONS, DRIVER_BOARD_UNKNOWN, DRIVER_BOARD_FILE_INVALID
 */
export function describeBoards(
  kinds: readonly { readonly name: string; readonly count: number | undefined }[],
  count: number | undefined,
  changes: BoardChanges = {},
): BoardDescription[] {
  const named = kinds.length === 0 ? [{ name: DEFAULT_BOARD, count: undefined }] : kinds;
  const [first] = named;
  if (count !== undefined && (named.length > 1 || first?.count !== undefined))
    throw refused('A number of boards is for one kind of them without a number of its own.');
  return named.flatMap((kind) => {
    const board = changed(loadBoardDescription(kind.name), changes);
    return new Array<BoardDescription>(kind.count ?? count ?? 1).fill(board);
  });
}

function changed(board: BoardDescription, { dmaBytes, timing, unpack }: BoardChanges): BoardDescription {
  const sized = dmaBytes === undefined ? board : withDmaMemory(board, dmaBytes);
  if (sized === undefined)
    throw refused(
      `${board.name}, with ${board.memoryBytes / 2 ** 20} MiB in all, cannot have ${(dmaBytes ?? 0) / 2 ** 20} MiB for DMA.`,
    );
  if (timing === 'synthesised' && board.revision === 'v1')
    throw refused(`${board.name} has a core of revision v1, whose synthesised timing is not known.`);
  return { ...sized, timing: timing ?? sized.timing, unpack: unpack ?? sized.unpack };
}

function refused(what: string): PynqLlmError {
  return new PynqLlmError('FLEET_PLAN_OPTIONS', what);
}
