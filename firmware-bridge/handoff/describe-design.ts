import type { BoardDescription } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { findPart } from '../bitstream/parts.js';
import type { HardwareHandoff, MemoryRange, Module } from './handoff.js';
import { dmaOf, findCore, findLanes } from './lanes.js';
import { unsupported } from './unsupported.js';

const PAGE = 4096;
const ARCHITECTURES: Readonly<Record<string, BoardDescription['architecture']>> = {
  zynq: 'armv7',
  zynquplus: 'aarch64',
};

/**
 * What a block design makes of a board: windows, lanes, their DMA engines and clock come from the handoff; memory, capacity,
 * weight types, and which revision of the core with which counters it is, which no handoff has, from the description of
 * the board that it is for. That a core is v1 shows, as it has one lane.
 * @param base a description of the same board
 * @throws PynqLlmError FIRMWARE_HANDOFF_UNSUPPORTED, FIRMWARE_WRONG_PART
 */
export function describeDesign(handoff: HardwareHandoff, base: BoardDescription): BoardDescription {
  const architecture = ARCHITECTURES[handoff.architecture];
  const part = findPart(handoff.part);
  if (architecture !== base.architecture || !part || (base.fpga && findPart(base.fpga.part) !== part))
    throw new PynqLlmError(
      'FIRMWARE_WRONG_PART',
      `The handoff is for ${handoff.part} (${handoff.architecture}), which is not the FPGA of ${base.name}.`,
      { context: { part: handoff.part, board: base.name } },
    );
  const core = findCore(handoff.modules);
  const lanes = findLanes(handoff.modules, core);
  const clock = clockOf(core);
  const revision = lanes.length === 1 ? 'v1' : base.revision === 'v1' ? 'v3' : base.revision;
  // A handoff lists none of the core's registers: which of the designs with this many lanes it is, it does not show.
  const { hwc, ...rest } = base;
  const windows = {
    ...coreWindows(handoff.ranges, core),
    ...Object.fromEntries(
      lanes.map(({ dma }, lane) => [`dma${lane}`, onlyRange(handoff.ranges, dma.instance)]),
    ),
  };
  checkPlaces([...Object.values(windows), ...base.dmaMemory]);
  return {
    ...rest,
    revision,
    ...(hwc && revision === base.revision && { hwc }),
    // Nobody has published how many cycles a synthesised v1 takes.
    timing: lanes.length === 1 ? 'systemc' : 'synthesised',
    clockHz: clock.hz,
    windows,
    dma: dmaOf(lanes, base.dma),
    fpga: {
      ...builtElsewhere(base.fpga),
      part: part.name,
      ...(clock.index !== undefined && { clock: clock.index }),
    },
  };
}

/** Of the FPGA of another description what does not depend on the build. */
function builtElsewhere(fpga: BoardDescription['fpga']): Partial<NonNullable<BoardDescription['fpga']>> {
  const { bitstreamMd5: _, setup: __, ...rest } = fpga ?? { part: '' };
  return rest;
}

function coreWindows(ranges: readonly MemoryRange[], core: Module): BoardDescription['windows'] {
  const own = ranges.filter(({ instance }) => instance === core.instance);
  const counters = own.filter(({ interface: name }) => /hwc/i.test(name));
  const control = own.filter((range) => !counters.includes(range));
  if (control.length !== 1 || counters.length > 1)
    throw unsupported(
      `the core ${core.instance} has the register interfaces ${own.map((r) => r.interface).join(', ') || 'none'}; one for control and at most one with HWC in its name are expected`,
    );
  return {
    control: windowOf(control[0]!),
    ...(counters[0] && { hwc: windowOf(counters[0]) }),
  };
}

function onlyRange(ranges: readonly MemoryRange[], instance: string): { base: number; size: number } {
  const own = ranges.filter((range) => range.instance === instance);
  if (own.length !== 1) throw unsupported(`${instance} has ${own.length} places in the address map`);
  return windowOf(own[0]!);
}

function windowOf({ base, size, instance }: MemoryRange): { base: number; size: number } {
  if (base + size > 2 ** 32)
    throw unsupported(`${instance} lies above 4 GiB, where no 32-bit access reaches`);
  return { base, size };
}

/** As a board description wants them. */
function checkPlaces(places: readonly { readonly base: number; readonly size: number }[]): void {
  const hex = (value: number) => `0x${value.toString(16)}`;
  const ordered = places.toSorted((a, b) => a.base - b.base);
  for (const [i, { base, size }] of ordered.entries()) {
    if (base % PAGE !== 0 || size % PAGE !== 0)
      throw unsupported(
        `${hex(size)} bytes at ${hex(base)} are not whole pages of 4 KiB, as Linux maps them`,
      );
    if (base + size > (ordered[i + 1]?.base ?? 2 ** 32))
      throw unsupported(
        `what lies at ${hex(base)} overlaps what comes next, another window or the DMA memory`,
      );
  }
}

/** Frequency of the core, and which clock of the processor drives it: `FCLK_CLK0`, `pl_clk0`. */
function clockOf(core: Module): { hz: number; index?: 0 | 1 | 2 | 3 } {
  const clocks = core.ports.filter(({ kind, clockHz }) => kind === 'clk' && clockHz !== undefined);
  const hz = clocks[0]?.clockHz;
  if (
    hz === undefined ||
    hz < 1_000_000 ||
    hz > 1_000_000_000 ||
    clocks.some(({ clockHz }) => clockHz !== hz)
  )
    throw unsupported(`the core ${core.instance} does not have one clock of a known frequency`);
  const from = clocks[0]!.connections.map(({ port }) => /^(?:FCLK_CLK|pl_clk)([0-3])$/.exec(port)?.[1])[0];
  const index = ([0, 1, 2, 3] as const).find((i) => String(i) === from);
  return index === undefined ? { hz } : { hz, index };
}
