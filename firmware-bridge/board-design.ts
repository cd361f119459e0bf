import { readFileSync } from 'node:fs';
import { type BoardDescription, loadBoardDescription } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { atClock } from '../linux-device/index.js';
import { checkPart, readBitstream } from './bitstream/bitstream.js';
import { type FpgaPart, partNamed } from './bitstream/parts.js';
import { checkPublished, md5Of } from './bitstream/published.js';
import { checkOverlay } from './fpga-manager/overlay.js';

/** Files of a design, all in one folder of the board: what is to be in the FPGA, and what it looks like from outside. */
export const DESIGN_FILES = { board: 'board.toml', bitstream: 'fpga.bit', overlay: 'overlay.dtbo' } as const;

/** What a user gives. */
export interface DesignSource {
  /** A shipped board description or a .toml file. */
  readonly board: string;
  /** A .bit or .bin; without it the FPGA is programmed by something else. */
  readonly bitstream?: Uint8Array | undefined;
  /** Hz that the core is to run at, below the clock of its design; for a shipped board. */
  readonly clockHz?: number | undefined;
  /** A compiled device-tree overlay, applied once the FPGA is programmed. */
  readonly overlay?: Uint8Array | undefined;
}

/** A design that was checked, as the files that a board needs. */
export interface BoardDesign {
  readonly architecture: BoardDescription['architecture'];
  readonly files: Readonly<Record<string, Uint8Array>>;
}

/**
 * Checks a design before anything of it goes to a board.
 * @throws PynqLlmError DRIVER_BOARD_UNKNOWN, DRIVER_BOARD_FILE_INVALID, FIRMWARE_BITSTREAM_INVALID,
 *   FIRMWARE_BITSTREAM_PARTIAL, FIRMWARE_WRONG_PART, FIRMWARE_PART_UNKNOWN, FIRMWARE_OVERLAY, FIRMWARE_CLOCK,
 *   FIRMWARE_WRONG_BOARD
 */
export function readDesign({ board, bitstream, overlay, clockHz }: DesignSource): BoardDesign {
  const description = loadBoardDescription(board);
  const isFile = board.includes('/') || board.endsWith('.toml');
  if (clockHz !== undefined) {
    if (isFile)
      throw new PynqLlmError('FIRMWARE_CLOCK', `The clock of ${board} is what it says itself.`, {
        context: { board },
        remedy: 'Change clock_hz in it.',
      });
    atClock(description, clockHz);
  }
  if (bitstream !== undefined) {
    checkPart(readBitstream(bitstream), fpgaOf(description));
    checkPublished(md5Of(bitstream), description);
  }
  if (overlay !== undefined) checkOverlay(overlay);
  return {
    architecture: description.architecture,
    files: {
      [DESIGN_FILES.board]: isFile ? readFileSync(board) : Buffer.from(reference(board, clockHz)),
      ...(bitstream && { [DESIGN_FILES.bitstream]: bitstream }),
      ...(overlay && { [DESIGN_FILES.overlay]: overlay }),
    },
  };
}

function reference(board: string, clockHz: number | undefined): string {
  return `board = "${board}"\n${clockHz === undefined ? '' : `clock_hz = ${clockHz}\n`}`;
}

/** The FPGA of a board. @throws PynqLlmError FIRMWARE_PART_UNKNOWN where its description does not say */
export function fpgaOf({ name, fpga }: BoardDescription): FpgaPart {
  if (fpga) return partNamed(fpga.part);
  throw new PynqLlmError(
    'FIRMWARE_PART_UNKNOWN',
    `The description of ${name} does not say which FPGA it has.`,
    { context: { board: name } },
  );
}
