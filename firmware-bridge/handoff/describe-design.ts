import type { BoardDescription } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { findPart } from '../bitstream/parts.js';
import type { HardwareHandoff, MemoryRange, Module } from './handoff.js';

const ARCHITECTURES: Readonly<Record<string, BoardDescription['architecture']>> = {
  zynq: 'armv7',
  zynquplus: 'aarch64',
};

/** A DMA engine and the number of the core's stream that it feeds: `S_AXIS_DATA1` is the first lane. */
interface Lane {
  readonly dma: Module;
  readonly core: string;
  readonly stream: number;
  readonly lengthBits: number;
}

/**
 * What a block design makes of a board: windows, lanes, LENGTH bits and clock come from the handoff; memory, capacity and
 * weight types, which no handoff has, from the description of the board that it is for.
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
  const lanes = findLanes(handoff.modules);
  const core = handoff.modules.find(({ instance }) => instance === lanes[0]!.core)!;
  const clock = clockOf(core);
  const lengthBits = lanes[0]!.lengthBits;
  if (lanes.some((lane) => lane.lengthBits !== lengthBits))
    throw unsupported(
      `the DMA engines have LENGTH registers of different widths (${lanes.map((l) => l.lengthBits).join(', ')})`,
    );
  const revision = lanes.length === 1 ? 'v1' : base.revision === 'v1' ? 'v3' : base.revision;
  // A handoff lists none of the core's registers: which of the designs with this many lanes it is, it does not show.
  const { hwc, ...rest } = base;
  return {
    ...rest,
    revision,
    ...(hwc && revision === base.revision && { hwc }),
    clockHz: clock.hz,
    windows: {
      ...coreWindows(handoff.ranges, core),
      ...Object.fromEntries(
        lanes.map(({ dma }, lane) => [`dma${lane}`, onlyRange(handoff.ranges, dma.instance)]),
      ),
    },
    dma: { ...base.dma, lanes: lanes.length === 1 ? 1 : 4, lengthBits },
    fpga: { ...base.fpga, part: part.name, ...(clock.index !== undefined && { clock: clock.index }) },
  };
}

/** The DMA engines in the order of the core's streams. */
function findLanes(modules: readonly Module[]): readonly Lane[] {
  const lanes = modules.filter(({ type }) => type === 'axi_dma').map(laneOf);
  if (lanes.length !== 1 && lanes.length !== 4)
    throw unsupported(`it has ${lanes.length} AXI DMA engines; the core has one lane (v1) or four (v3)`);
  if (new Set(lanes.map(({ core }) => core)).size > 1)
    throw unsupported('its DMA engines feed different modules');
  const sorted = lanes.toSorted((a, b) => a.stream - b.stream);
  if (new Set(sorted.map(({ stream }) => stream)).size !== sorted.length)
    throw unsupported('two DMA engines feed the same stream of the core');
  return sorted;
}

function laneOf(dma: Module): Lane {
  const number = (name: string): number | undefined => {
    const text = dma.parameters.get(name) ?? dma.parameters.get(name.toUpperCase());
    return text !== undefined && /^\d{1,4}$/.test(text) ? Number(text) : undefined;
  };
  const must = (name: string, value: number, why: string) => {
    if (number(name) !== value) throw unsupported(`${dma.instance} has ${name} = ${number(name)}: ${why}`);
  };
  must('c_include_sg', 0, 'the driver uses direct register mode; build it without scatter-gather');
  must('c_include_mm2s', 1, 'it needs the read channel');
  must('c_include_s2mm', 1, 'it needs the write channel');
  must('c_m_axis_mm2s_tdata_width', 32, 'the core takes one 32-bit word a cycle');
  const lengthBits = number('c_sg_length_width');
  if (lengthBits === undefined || lengthBits < 14 || lengthBits > 26)
    throw unsupported(`${dma.instance} has c_sg_length_width = ${lengthBits}; the driver takes 14 to 26`);
  const target = dma.ports.find(({ name }) => name === 'm_axis_mm2s_tdata')?.connections[0];
  const stream = /(\d+)?_TDATA$/i.exec(target?.port ?? '');
  if (!target || !stream)
    throw unsupported(`the output stream of ${dma.instance} does not go straight to the core`);
  return { dma, core: target.instance, stream: Number(stream[1] ?? 1), lengthBits };
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

/** Frequency of the core, and which clock of the processor drives it: `FCLK_CLK0`, `pl_clk0`. */
function clockOf(core: Module): { hz: number; index?: 0 | 1 | 2 | 3 } {
  const clocks = core.ports.filter(({ kind, clockHz }) => kind === 'clk' && clockHz !== undefined);
  const hz = clocks[0]?.clockHz;
  if (hz === undefined || hz < 1_000_000 || clocks.some(({ clockHz }) => clockHz !== hz))
    throw unsupported(`the core ${core.instance} does not have one clock of a known frequency`);
  const from = clocks[0]!.connections.map(({ port }) => /^(?:FCLK_CLK|pl_clk)([0-3])$/.exec(port)?.[1])[0];
  const index = ([0, 1, 2, 3] as const).find((i) => String(i) === from);
  return index === undefined ? { hz } : { hz, index };
}

function unsupported(why: string): PynqLlmError {
  return new PynqLlmError('FIRMWARE_HANDOFF_UNSUPPORTED', `The design cannot be used: ${why}.`);
}
