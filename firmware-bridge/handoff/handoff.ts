import { PynqLlmError } from '../../errors/index.js';
import { attribute, children, descendants, parseXml, type XmlElement } from './xml.js';

/** A block of registers or memory as the processor sees it. */
export interface MemoryRange {
  readonly instance: string;
  /** Bus interface of the instance: `S_AXI_CTRL`. */
  readonly interface: string;
  readonly base: number;
  readonly size: number;
}

/** One module of the block design. */
export interface Module {
  readonly instance: string;
  /** `axi_dma`, `BFP_Acc`, `zynq_ultra_ps_e`. */
  readonly type: string;
  /** Vendor, library, name and version of the IP, where it is one. */
  readonly vlnv?: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly ports: readonly Port[];
}

/** A pin or bus of a module, and what it is connected to. */
export interface Port {
  readonly name: string;
  /** `clk`, `rst`, `undef`. */
  readonly kind: string;
  /** Hz of a clock input, where Vivado knows it. */
  readonly clockHz?: number;
  readonly connections: readonly { readonly instance: string; readonly port: string }[];
}

/** What a Vivado hardware handoff file (.hwh) says of a block design, as far as the driver needs it. */
export interface HardwareHandoff {
  /** Version of Vivado, such as `2024.1`. */
  readonly vivado: string;
  /** Whether files of this Vivado were seen; of others all that is needed was found, but nobody looked. */
  readonly isKnownVivado: boolean;
  /** `zynq` or `zynquplus`. */
  readonly architecture: string;
  /** Part without speed grade: `7z020clg400`, `xck26-sfvc784`. */
  readonly part: string;
  /** Name of the block design. */
  readonly design: string;
  readonly modules: readonly Module[];
  /** The address map of the processor's own masters. */
  readonly ranges: readonly MemoryRange[];
}

/** The format's own version; all handoffs that were seen have it. */
const EDW_VERSION = '1.2';
/** The first and the last Vivado whose files were seen: the same elements in both, so also in between. */
export const KNOWN_VIVADO = { first: 2017.4, last: 2024.1 } as const;
/** Masters are the processing systems: their memory map is what software sees. */
const PROCESSOR_TYPES = new Set(['processing_system7', 'zynq_ultra_ps_e']);

/**
 * Reads a .hwh file.
 * @throws PynqLlmError FIRMWARE_HANDOFF_INVALID, FIRMWARE_HANDOFF_VERSION
 */
export function readHandoff(bytes: Uint8Array): HardwareHandoff {
  const [system] = children(parseXml(bytes), 'EDKSYSTEM');
  if (!system) throw invalid('it has no element EDKSYSTEM');
  checkFormat(system);
  const [info] = children(system, 'SYSTEMINFO');
  if (!info) throw invalid('it has no element SYSTEMINFO');
  const architecture = required(info, 'ARCH');
  const modules = descendants(system, 'MODULES', 'MODULE');
  const processors = modules.filter((module) => PROCESSOR_TYPES.has(attribute(module, 'MODTYPE') ?? ''));
  if (processors.length !== 1) throw invalid(`it has ${processors.length} processing systems instead of one`);
  return {
    vivado: required(system, 'VIVADOVERSION'),
    isKnownVivado: isKnownVivado(system),
    architecture,
    part: partOf(info, architecture),
    design: required(info, 'NAME'),
    modules: modules.map(readModule),
    ranges: descendants(processors[0]!, 'MEMORYMAP', 'MEMRANGE').map(readRange),
  };
}

/** The format is what matters, not which Vivado wrote it; but a version that is none comes from another program. */
function checkFormat(system: XmlElement): void {
  const format = required(system, 'EDWVERSION');
  const vivado = required(system, 'VIVADOVERSION');
  if (format === EDW_VERSION && release(vivado) !== undefined) return;
  throw new PynqLlmError(
    'FIRMWARE_HANDOFF_VERSION',
    `This .hwh has format ${format} of Vivado ${vivado}; known is format ${EDW_VERSION}, which Vivado ${KNOWN_VIVADO.first} to ${KNOWN_VIVADO.last} write.`,
    { context: { format, vivado } },
  );
}

function isKnownVivado(system: XmlElement): boolean {
  const number = release(required(system, 'VIVADOVERSION')) ?? 0;
  return number >= KNOWN_VIVADO.first && number <= KNOWN_VIVADO.last;
}

/** `2024.1` and `2024.1.2` are 2024.1. */
function release(vivado: string): number | undefined {
  const [, number] = /^(20\d\d\.[1-4])(\.\d+)?$/.exec(vivado) ?? [];
  return number === undefined ? undefined : Number(number);
}

function partOf(info: XmlElement, architecture: string): string {
  const device = required(info, 'DEVICE');
  const packageName = required(info, 'PACKAGE');
  return architecture === 'zynq' ? `${device}${packageName}` : `${device}-${packageName}`;
}

function readModule(module: XmlElement): Module {
  const vlnv = attribute(module, 'VLNV');
  return {
    instance: required(module, 'INSTANCE'),
    type: required(module, 'MODTYPE'),
    ...(vlnv !== undefined && { vlnv }),
    parameters: new Map(
      descendants(module, 'PARAMETERS', 'PARAMETER').map((parameter) => [
        required(parameter, 'NAME'),
        attribute(parameter, 'VALUE') ?? '',
      ]),
    ),
    ports: descendants(module, 'PORTS', 'PORT').map(readPort),
  };
}

function readPort(port: XmlElement): Port {
  const frequency = attribute(port, 'CLKFREQUENCY');
  return {
    name: required(port, 'NAME'),
    kind: attribute(port, 'SIGIS') ?? 'undef',
    ...(frequency !== undefined && { clockHz: wholeNumber(frequency, 'CLKFREQUENCY') }),
    connections: descendants(port, 'CONNECTIONS', 'CONNECTION').map((connection) => ({
      instance: required(connection, 'INSTANCE'),
      port: required(connection, 'PORT'),
    })),
  };
}

function readRange(range: XmlElement): MemoryRange {
  const base = wholeNumber(required(range, 'BASEVALUE'), 'BASEVALUE');
  const high = wholeNumber(required(range, 'HIGHVALUE'), 'HIGHVALUE');
  if (high < base) throw invalid(`a MEMRANGE ends at ${high} before it begins at ${base}`);
  return {
    instance: required(range, 'INSTANCE'),
    interface: required(range, 'SLAVEBUSINTERFACE'),
    base,
    size: high - base + 1,
  };
}

/** Decimal or 0x…; up to 2^53, as the address map of an UltraScale+ has 49 bits. */
function wholeNumber(text: string, what: string): number {
  const value = Number(text);
  if (!/^(0x[0-9a-f]{1,16}|\d{1,16})$/i.test(text) || !Number.isSafeInteger(value))
    throw invalid(`${what} is "${text.slice(0, 40)}", which is no number`);
  return value;
}

function required(element: XmlElement, name: string): string {
  const value = attribute(element, name);
  if (value === undefined) throw invalid(`an element lacks its attribute ${name}`);
  return value;
}

function invalid(why: string): PynqLlmError {
  return new PynqLlmError('FIRMWARE_HANDOFF_INVALID', `This is not a whole hardware handoff: ${why}.`);
}
