import type { BoardDescription } from '../../board/index.js';
import type { Module, Port } from './handoff.js';
import { unsupported } from './unsupported.js';

/** Name of the MatMul core's IP, in MODTYPE and in VLNV (`xilinx:hls:BFP_Acc:1.0`). */
const CORE = /^bfp_acc$/i;

/** A DMA engine of the core. What a handoff does not list is undefined. */
interface Lane {
  readonly dma: Module;
  /** Number of the core's stream that it feeds: `S_AXIS_DATA1` is the first lane. */
  readonly stream: number;
  readonly lengthBits: number;
  /** Whether it takes addresses that are no multiples of its memory side's width. */
  readonly realigns: boolean | undefined;
  readonly addressBits: number | undefined;
  /** Whether its interrupt outputs are connected. */
  readonly interrupts: boolean | undefined;
}

/** The MatMul core. @throws PynqLlmError FIRMWARE_HANDOFF_UNSUPPORTED where the design has none, or more than one */
export function findCore(modules: readonly Module[]): Module {
  const cores = modules.filter(({ type, vlnv }) => CORE.test(type) || CORE.test(vlnv?.split(':')[2] ?? ''));
  if (cores.length === 1) return cores[0]!;
  throw unsupported(
    `it has ${cores.length || 'no'} modules of type BFP_Acc, the MatMul core, instead of one`,
  );
}

/** The DMA engines in the order of the core's streams. @throws PynqLlmError FIRMWARE_HANDOFF_UNSUPPORTED */
export function findLanes(modules: readonly Module[], core: Module): readonly Lane[] {
  const engines = modules.filter(({ type }) => type === 'axi_dma');
  if (engines.length !== 1 && engines.length !== 4)
    throw unsupported(
      `it has ${engines.length} AXI DMA engines; the core has one lane (v1) or four (v3, v4)`,
    );
  const lanes = engines.map((dma) => laneOf(dma, core)).toSorted((a, b) => a.stream - b.stream);
  if (new Set(lanes.map(({ stream }) => stream)).size !== lanes.length)
    throw unsupported('two DMA engines feed the same stream of the core');
  const widths = lanes.map(({ lengthBits }) => lengthBits);
  if (new Set(widths).size > 1)
    throw unsupported(`the DMA engines have LENGTH registers of different widths (${widths.join(', ')})`);
  return lanes;
}

/** What the lanes are like together; what the handoff does not list is as `base` has it. */
export function dmaOf(lanes: readonly Lane[], base: BoardDescription['dma']): BoardDescription['dma'] {
  const listed = <T>(values: readonly (T | undefined)[]) => values.filter((value) => value !== undefined);
  const realigning = listed(lanes.map(({ realigns }) => realigns));
  const addressBits = listed(lanes.map((lane) => lane.addressBits));
  const interrupts = listed(lanes.map((lane) => lane.interrupts));
  const alignment = realigning.length === 0 ? base.alignment : realigning.includes(false) ? 4 : undefined;
  const reach = addressBits.length === 0 ? base.addressBits : addressBits.includes(32) ? 32 : undefined;
  const wired = interrupts.length === 0 ? base.interrupts : !interrupts.includes(false);
  return {
    lanes: lanes.length === 1 ? 1 : 4,
    lengthBits: lanes[0]!.lengthBits,
    ...(alignment !== undefined && { alignment }),
    ...(reach !== undefined && { addressBits: reach }),
    ...(wired !== undefined && { interrupts: wired }),
  };
}

function laneOf(dma: Module, core: Module): Lane {
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
  const addressBits = number('c_addr_width');
  if (addressBits !== undefined && addressBits < 32)
    throw unsupported(`${dma.instance} has c_addr_width = ${addressBits}; the driver takes 32 or more`);
  return {
    dma,
    stream: streamOf(dma, core),
    lengthBits,
    realigns: realigns(dma, number),
    addressBits,
    interrupts: interrupts(dma),
  };
}

function streamOf(dma: Module, core: Module): number {
  const target = dma.ports.find(({ name }) => name === 'm_axis_mm2s_tdata')?.connections[0];
  const stream = /(\d{1,4})?_TDATA$/i.exec(target?.port ?? '');
  if (target?.instance !== core.instance || !stream)
    throw unsupported(
      `the output stream of ${dma.instance} does not go straight to the core ${core.instance}`,
    );
  return Number(stream[1] ?? 1);
}

/** Buffers are placed at multiples of 4: a wider memory side needs the realignment engine (`dre`). */
function realigns(dma: Module, number: (name: string) => number | undefined): boolean | undefined {
  const channels = ['mm2s', 's2mm'].map((channel) => ({
    channel,
    engine: number(`c_include_${channel}_dre`),
    width: number(`c_m_axi_${channel}_data_width`) ?? 32,
  }));
  for (const { channel, engine, width } of channels)
    if (width > 32 && engine !== 1)
      throw unsupported(
        `${dma.instance} has a memory side of ${width} bits without c_include_${channel}_dre: the driver keeps addresses multiples of 4 bytes only`,
      );
  const engines = channels.map(({ engine }) => engine).filter((engine) => engine !== undefined);
  return engines.length === 0 ? undefined : engines.every((engine) => engine === 1);
}

/** Outputs that end nowhere are listed without connections. */
function interrupts(dma: Module): boolean | undefined {
  const outputs = ['mm2s_introut', 's2mm_introut']
    .map((name) => dma.ports.find((port) => port.name === name))
    .filter((port): port is Port => port !== undefined);
  return outputs.length === 0 ? undefined : outputs.every(({ connections }) => connections.length > 0);
}
