import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { didYouMean, PynqLlmError } from '../errors/index.js';
import type { BoardDescription, CounterDesign, DmaDevices } from './description.js';
import { counterDesignOf, counterDesigns } from './registers/monitors.js';

const WEIGHT_TYPES = { Q2_K: 2, Q3_K: 3, Q4_K: 4, Q5_K: 5, Q6_K: 6 } as const;

/** Where the mock has the first of the devices that DMA memory is made of. */
const FIRST_DEVICE = 0x3800_0000;

const address = z.number().int().min(0).max(0xffff_ffff);
const aligned = address.refine((value) => value % 4096 === 0, 'must be a multiple of 4096');
const region = z.strictObject({ base: aligned, size: aligned.min(4096) });

const boardFile = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/),
    title: z.string().min(1).max(200),
    architecture: z.enum(['armv7', 'aarch64']),
    revision: z.enum(['v1', 'v3', 'v4']),
    timing: z.enum(['systemc', 'synthesised']).optional(),
    unpack: z.enum(['words', 'hls']).default('words'),
    clock_hz: z.number().int().min(1_000_000).max(1_000_000_000),
    weight_types: z.array(z.enum(['Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K'])).min(1),
    memory_bytes: z.number().int().positive(),
    windows: z.record(z.string().regex(/^[a-z][a-z0-9]{0,31}$/), region),
    dma: z.strictObject({
      lanes: z.union([z.literal(1), z.literal(4)]),
      length_bits: z.number().int().min(14).max(26),
      alignment: z.literal(4).optional(),
      address_bits: z.literal(32).optional(),
      interrupts: z.boolean().optional(),
    }),
    hwc: z
      .strictObject({
        layout: z.enum(['reset-first', 'reset-last']).default('reset-first'),
        monitors: z.number().int().min(1).max(15).optional(),
      })
      .optional(),
    dma_memory: z.union([
      z.array(region).min(1),
      z.strictObject({
        kind: z.literal('u-dma-buf'),
        names: z.array(z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/)).max(8),
        in_bytes: aligned.min(4096),
        out_bytes: aligned.min(4096),
      }),
    ]),
    capacity: z.strictObject({
      weight_blocks: z.number().int().min(1).max(1024),
      input_blocks: z.number().int().min(1).max(512),
    }),
    watts: z.number().positive().max(1_000).optional(),
    price: z.number().min(0).max(1_000).optional(),
    fpga: z
      .strictObject({
        part: z.string().regex(/^[a-z0-9]{3,32}$/),
        clock: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]).optional(),
        reference_hz: z.number().int().min(1_000_000).max(100_000_000).optional(),
        setup: z
          .strictObject({
            slack_ns: z.number().min(-100).max(100),
            at_hz: z.number().int().min(1_000_000).max(1_000_000_000),
          })
          .optional(),
        bitstream_md5: z
          .string()
          .regex(/^[0-9a-f]{32}$/)
          .optional(),
      })
      .optional(),
  })
  .superRefine((board, context) => {
    if (board.revision === 'v1' && board.timing === 'synthesised')
      context.addIssue({ code: 'custom', message: 'timing: of v1 only systemc is known' });
    const lanes = board.revision === 'v1' ? 1 : 4;
    if (board.dma.lanes !== lanes)
      context.addIssue({ code: 'custom', message: `dma.lanes: revision ${board.revision} has ${lanes}` });
    for (const name of ['control', ...Array.from({ length: board.dma.lanes }, (_, lane) => `dma${lane}`)])
      if (!(name in board.windows))
        context.addIssue({ code: 'custom', message: `windows.${name} is missing` });
    try {
      counterDesignOf({ revision: board.revision, hwc: hwcOf(board) });
    } catch (error) {
      context.addIssue({ code: 'custom', message: `hwc: ${explain(error)}` });
    }
    const devices = devicesOf(board.dma_memory);
    if (devices && new Set(devices.names).size !== 2 * board.dma.lanes)
      context.addIssue({ code: 'custom', message: `dma_memory.names: two different ones a lane are needed` });
    const regions = [...Object.values(board.windows), ...regionsOf(board.dma_memory)].toSorted(
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
function shippedFolder(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const root = join(here, '..');
  return join(root.endsWith('dist') ? dirname(root) : root, 'boards');
}

/** Names of the board descriptions that ship with the package. */
export function shippedBoardNames(): string[] {
  return readdirSync(shippedFolder())
    .filter((file) => file.endsWith('.toml'))
    .map((file) => file.slice(0, -'.toml'.length))
    .toSorted();
}

/**
 * Shipped descriptions of a board by its DMA memory, that one among them: they are named alike, as `pynq-z1` and `pynq-z1-360`.
 * @param name of one of them; of none that ships there is none
 */
export function sizesOfBoard(name: string): readonly BoardDescription[] {
  const familyOf = (one: string) => one.replace(/-\d+$/, '');
  const family = familyOf(name);
  const known = families.get(family);
  if (known !== undefined) return known;
  const names = shippedBoardNames().filter((one) => familyOf(one) === family);
  const boards = names.map(loadBoardDescription);
  if (boards.length > 0) families.set(family, boards);
  return boards;
}

/** Read once. */
const families = new Map<string, readonly BoardDescription[]>();

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
      `There is no board description named "${nameOrPath}"; there are ${shippedBoardNames().join(', ')}.${didYouMean(nameOrPath, shippedBoardNames())}`,
      { context: { board: nameOrPath } },
    );
  const path = isPath ? nameOrPath : join(shippedFolder(), `${nameOrPath}.toml`);
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
  const devices = devicesOf(file.dma_memory);
  return {
    name: file.name,
    title: file.title,
    architecture: file.architecture,
    revision: file.revision,
    timing: file.timing ?? (file.revision === 'v1' ? 'systemc' : 'synthesised'),
    unpack: file.unpack,
    clockHz: file.clock_hz,
    weightTypes: file.weight_types.map((name) => WEIGHT_TYPES[name]),
    windows: file.windows,
    dma: {
      lanes: file.dma.lanes,
      lengthBits: file.dma.length_bits,
      ...(file.dma.alignment !== undefined && { alignment: file.dma.alignment }),
      ...(file.dma.address_bits !== undefined && { addressBits: file.dma.address_bits }),
      ...(file.dma.interrupts !== undefined && { interrupts: file.dma.interrupts }),
    },
    hwc: hwcOf(file),
    dmaMemory: regionsOf(file.dma_memory),
    ...(devices && { dmaDevices: devices }),
    memoryBytes: file.memory_bytes,
    capacity: { weightBlocks: file.capacity.weight_blocks, inputBlocks: file.capacity.input_blocks },
    ...(file.watts !== undefined && { watts: file.watts }),
    ...(file.price !== undefined && { price: file.price }),
    ...(file.fpga && {
      fpga: {
        part: file.fpga.part,
        ...(file.fpga.clock !== undefined && { clock: file.fpga.clock }),
        ...(file.fpga.reference_hz !== undefined && { referenceHz: file.fpga.reference_hz }),
        ...(file.fpga.setup && { setup: { slackNs: file.fpga.setup.slack_ns, atHz: file.fpga.setup.at_hz } }),
        ...(file.fpga.bitstream_md5 !== undefined && { bitstreamMd5: file.fpga.bitstream_md5 }),
      },
    }),
  };
}

type DmaMemoryFile = z.infer<typeof boardFile>['dma_memory'];

/** What the file leaves out is as in the revision's first design. */
function hwcOf({ revision, hwc }: Pick<z.infer<typeof boardFile>, 'revision' | 'hwc'>): CounterDesign {
  const first = counterDesigns(revision)[0]!;
  const layout = hwc?.layout ?? 'reset-first';
  const sameLayout = counterDesigns(revision).find((design) => design.layout === layout) ?? first;
  return { layout, monitors: hwc?.monitors ?? sameLayout.monitors.length };
}

function devicesOf(memory: DmaMemoryFile): DmaDevices | undefined {
  if (Array.isArray(memory)) return undefined;
  const { kind, names, in_bytes: inBytes, out_bytes: outBytes } = memory;
  return { kind, names, inBytes, outBytes };
}

/** Devices that are yet to be made have no addresses: these stand for them. */
function regionsOf(memory: DmaMemoryFile): BoardDescription['dmaMemory'] {
  if (Array.isArray(memory)) return memory;
  let base = FIRST_DEVICE;
  return memory.names.map((_, i) => {
    const size = i % 2 === 0 ? memory.in_bytes : memory.out_bytes;
    const region = { base, size };
    base += size;
    return region;
  });
}

function explain(cause: unknown): string {
  if (cause instanceof z.ZodError)
    return cause.issues
      .map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': '))
      .join('; ');
  if (cause instanceof PynqLlmError) return cause.what.replace(/\.$/, '');
  return cause instanceof Error ? cause.message.split('\n')[0]! : String(cause);
}
