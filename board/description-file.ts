import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { PynqLlmError } from '../errors/index.js';
import type { BoardDescription } from './description.js';

const WEIGHT_TYPES = { Q2_K: 2, Q3_K: 3, Q4_K: 4, Q5_K: 5, Q6_K: 6 } as const;

const address = z.number().int().min(0).max(0xffff_ffff);
const aligned = address.refine((value) => value % 4096 === 0, 'must be a multiple of 4096');
const region = z.strictObject({ base: aligned, size: aligned.min(4096) });

const boardFile = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/),
    title: z.string().min(1).max(200),
    architecture: z.enum(['armv7', 'aarch64']),
    revision: z.enum(['v1', 'v3']),
    timing: z.enum(['systemc', 'synthesised']),
    unpack: z.enum(['words', 'hls']).default('words'),
    clock_hz: z.number().int().min(1_000_000).max(1_000_000_000),
    weight_types: z.array(z.enum(['Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K'])).min(1),
    memory_bytes: z.number().int().positive(),
    windows: z.record(z.string().regex(/^[a-z][a-z0-9]{0,31}$/), region),
    dma: z.strictObject({
      lanes: z.union([z.literal(1), z.literal(4)]),
      length_bits: z.number().int().min(14).max(26),
    }),
    dma_memory: z.array(region).min(1),
    capacity: z.strictObject({
      weight_blocks: z.number().int().min(1).max(1024),
      input_blocks: z.number().int().min(1).max(512),
    }),
    fpga: z
      .strictObject({
        part: z.string().regex(/^[a-z0-9]{3,32}$/),
        clock: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]).optional(),
        reference_hz: z.number().int().min(1_000_000).max(100_000_000).optional(),
      })
      .optional(),
  })
  .superRefine((board, context) => {
    if (board.revision === 'v1' && board.timing !== 'systemc')
      context.addIssue({ code: 'custom', message: 'timing: of v1 only systemc is known' });
    const lanes = board.revision === 'v1' ? 1 : 4;
    if (board.dma.lanes !== lanes)
      context.addIssue({ code: 'custom', message: `dma.lanes: revision ${board.revision} has ${lanes}` });
    for (const name of ['control', ...Array.from({ length: board.dma.lanes }, (_, lane) => `dma${lane}`)])
      if (!(name in board.windows))
        context.addIssue({ code: 'custom', message: `windows.${name} is missing` });
    const regions = [...Object.values(board.windows), ...board.dma_memory].toSorted(
      (a, b) => a.base - b.base,
    );
    for (const [i, { base, size }] of regions.entries())
      if (base + size > (regions[i + 1]?.base ?? 2 ** 32))
        context.addIssue({
          code: 'custom',
          message: `the region at 0x${base.toString(16)} overlaps the next one`,
        });
  });

/** `boards/` of the package: beside the sources, and one level above dist/. */
function shippedBoards(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const root = join(here, '..');
  return join(root.endsWith('dist') ? dirname(root) : root, 'boards');
}

/** Names of the board descriptions that ship with the package. */
export function shippedBoardNames(): string[] {
  return readdirSync(shippedBoards())
    .filter((file) => file.endsWith('.toml'))
    .map((file) => file.slice(0, -'.toml'.length))
    .toSorted();
}

/**
 * Reads a board description.
 *
 * @param nameOrPath a shipped name (`pynq-z1`) or the path of a TOML file (anything with a `/` or ending in `.toml`)
 * @throws PynqLlmError DRIVER_BOARD_UNKNOWN, DRIVER_BOARD_FILE_INVALID
 */
export function loadBoardDescription(nameOrPath: string): BoardDescription {
  const isPath = nameOrPath.includes('/') || nameOrPath.endsWith('.toml');
  if (!isPath && !shippedBoardNames().includes(nameOrPath))
    throw new PynqLlmError(
      'DRIVER_BOARD_UNKNOWN',
      `There is no board description named "${nameOrPath}"; there are ${shippedBoardNames().join(', ')}.`,
      { context: { board: nameOrPath } },
    );
  const path = isPath ? nameOrPath : join(shippedBoards(), `${nameOrPath}.toml`);
  try {
    return toDescription(boardFile.parse(parse(readFileSync(path, 'utf8'))));
  } catch (cause) {
    throw new PynqLlmError(
      'DRIVER_BOARD_FILE_INVALID',
      `The board description ${path} cannot be used: ${explain(cause)}.`,
      {
        context: { path },
        cause,
      },
    );
  }
}

function toDescription(file: z.infer<typeof boardFile>): BoardDescription {
  return {
    name: file.name,
    title: file.title,
    architecture: file.architecture,
    revision: file.revision,
    timing: file.timing,
    unpack: file.unpack,
    clockHz: file.clock_hz,
    weightTypes: file.weight_types.map((name) => WEIGHT_TYPES[name]),
    windows: file.windows,
    dma: { lanes: file.dma.lanes, lengthBits: file.dma.length_bits },
    dmaMemory: file.dma_memory,
    memoryBytes: file.memory_bytes,
    capacity: { weightBlocks: file.capacity.weight_blocks, inputBlocks: file.capacity.input_blocks },
    ...(file.fpga && {
      fpga: {
        part: file.fpga.part,
        ...(file.fpga.clock !== undefined && { clock: file.fpga.clock }),
        ...(file.fpga.reference_hz !== undefined && { referenceHz: file.fpga.reference_hz }),
      },
    }),
  };
}

function explain(cause: unknown): string {
  if (cause instanceof z.ZodError)
    return cause.issues
      .map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': '))
      .join('; ');
  return cause instanceof Error ? cause.message.split('\n')[0]! : String(cause);
}
