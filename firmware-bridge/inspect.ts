import { isDeepStrictEqual } from 'node:util';
import { type BoardDescription, loadBoardDescription, shippedBoardNames } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import {
  type Bitstream,
  checkPart,
  digestOf,
  partOf,
  readBitstream,
  toFirmware,
} from './bitstream/bitstream.js';
import { findPart } from './bitstream/parts.js';
import { boardOfBitstream, md5Of } from './bitstream/published.js';
import { fpgaOf } from './board-design.js';
import { formatBoardFile } from './handoff/board-toml.js';
import { describeDesign } from './handoff/describe-design.js';
import { type HardwareHandoff, KNOWN_VIVADO, readHandoff } from './handoff/handoff.js';

/** What a .bit or .bin says about itself. */
export interface BitstreamFacts {
  readonly format: 'bit' | 'bin';
  readonly design: string | null;
  readonly part: string | null;
  /** Date and time of the build, as the header has them. */
  readonly built: string | null;
  /** Bytes of configuration data. */
  readonly bytes: number;
  readonly order: 'bit' | 'swapped';
  readonly idcode: number | null;
  /** The known FPGA that it is for. */
  readonly fpga: string | null;
  /** The shipped board description that it was published for, by its MD5. */
  readonly board: string | null;
  /** SHA-256 of what the FPGA manager loads, in its order of bytes: the name that it is stored under. */
  readonly digest: string | null;
}

/** What a .hwh says, and the board description that it becomes. */
export interface HandoffFacts {
  readonly format: 'hwh';
  readonly design: string;
  readonly part: string;
  readonly vivado: string;
  readonly board: BoardDescription;
  /** The board description as the text of a file. */
  readonly boardFile: string;
  /** What the description assumes or nobody has seen yet, a sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Reads a bitstream or a hardware handoff; which of them it is, is told from the bytes.
 * @param board a shipped name or a path. A bitstream is checked against its FPGA; a handoff takes from it what a handoff
 *   does not have, such as the memory. Without it a handoff takes the shipped board with its FPGA that is most like it
 * @throws PynqLlmError FIRMWARE_BITSTREAM_..., FIRMWARE_HANDOFF_..., FIRMWARE_WRONG_PART, FIRMWARE_PART_UNKNOWN,
 *   DRIVER_BOARD_UNKNOWN, DRIVER_BOARD_FILE_INVALID
 */
export function inspectFirmware(bytes: Uint8Array, board?: string): BitstreamFacts | HandoffFacts {
  if (looksLikeXml(bytes)) return handoffFacts(readHandoff(bytes), board);
  const bitstream = readBitstream(bytes);
  if (board !== undefined) checkPart(bitstream, fpgaOf(loadBoardDescription(board)));
  return { ...bitstreamFacts(bitstream), board: boardOfBitstream(md5Of(bytes)) ?? null };
}

function bitstreamFacts(bitstream: Bitstream): Omit<BitstreamFacts, 'board'> {
  const { format, header, order, idcode, data } = bitstream;
  const fpga = partOf(bitstream);
  return {
    format,
    design: header?.design ?? null,
    part: header?.part ?? null,
    built: header ? `${header.date} ${header.time}` : null,
    bytes: data.length,
    order,
    idcode: idcode ?? null,
    fpga: fpga?.name ?? null,
    digest: fpga ? digestOf(toFirmware(bitstream, fpga)) : null,
  };
}

function handoffFacts(handoff: HardwareHandoff, board: string | undefined): HandoffFacts {
  const base = board === undefined ? mostLike(handoff) : loadBoardDescription(board);
  const { design, part, vivado } = handoff;
  const described: BoardDescription = {
    ...describeDesign(handoff, base),
    name:
      design
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, '-')
        .replace(/^-+/, '')
        .slice(0, 64) || base.name,
    title: `${design}, built by Vivado ${vivado} for ${part}`.replace(/\p{Cc}/gu, ' ').slice(0, 200),
  };
  const warnings = warningsOf(handoff, described, base);
  const source = `From the hardware handoff of ${design}; memory, capacity and weight types as ${base.name} has them.`;
  return {
    format: 'hwh',
    design,
    part,
    vivado,
    board: described,
    boardFile: formatBoardFile(described, [source.replaceAll('\n', ' '), ...warnings].join('\n')),
    warnings,
  };
}

function warningsOf(handoff: HardwareHandoff, board: BoardDescription, base: BoardDescription): string[] {
  const { first, last } = KNOWN_VIVADO;
  return [
    ...(handoff.isKnownVivado
      ? []
      : [
          `Vivado ${handoff.vivado}: its handoffs were not seen yet, those of ${first} to ${last} were. All that is needed is there; compare the addresses.`,
        ]),
    ...(board.revision !== 'v1' && board.windows.hwc
      ? [
          `Revision ${board.revision} and the layout of the counters are an assumption, from ${base.name}: a handoff shows neither. The driver probes both on the board and refuses counters that lie elsewhere.`,
        ]
      : []),
  ];
}

/** The shipped board with this FPGA that has most in common with the design: its lanes, else its windows, else its clock. */
function mostLike(handoff: HardwareHandoff): BoardDescription {
  const wanted = findPart(handoff.part)?.name;
  let boards = shippedBoardNames()
    .map((name) => loadBoardDescription(name))
    .filter(({ fpga }) => fpga && fpga.part === wanted);
  if (boards.length === 0)
    throw new PynqLlmError(
      'FIRMWARE_PART_UNKNOWN',
      `No shipped board has the FPGA ${handoff.part} of this handoff.`,
      { context: { part: handoff.part }, remedy: 'Name a description of your board with --board.' },
    );
  const design = describeDesign(handoff, boards[0]!);
  const alike: readonly ((board: BoardDescription) => boolean)[] = [
    ({ dma }) => dma.lanes === design.dma.lanes,
    ({ windows }) => isDeepStrictEqual(windows, design.windows),
    ({ clockHz }) => clockHz === design.clockHz,
  ];
  for (const isAlike of alike) {
    const fitting = boards.filter(isAlike);
    if (fitting.length > 0) boards = fitting;
  }
  return boards[0]!;
}

/** A bitstream begins with a length or with 0xFF; XML with a bracket, after a byte order mark or blanks. */
function looksLikeXml(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, 64)).trimStart().startsWith('<');
}
