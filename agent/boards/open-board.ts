import {
  type Board,
  type BoardDescription,
  type CoreTiming,
  loadBoardDescription,
  type UnpackSpeed,
} from '../../board/index.js';
import { leastMemory } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import {
  INSTALLED_BOARD,
  type LinuxBoardOptions,
  loadInstalledBoard,
  MEMORY_KINDS,
  openLinuxBoard,
  openLinuxMemory,
} from '../../linux-device/index.js';
import {
  FAULTS,
  type FaultName,
  type FaultSwitch,
  isFaultName,
  openMockBoard,
} from '../../mock-device/index.js';

export { FAULTS, type FaultName };

/** What a device URL says. */
export type DeviceUrl = MockUrl | LinuxUrl;

export interface MockUrl {
  readonly kind: 'mock';
  /** A shipped board description, or a TOML file. */
  readonly board: string;
  readonly realTime: boolean;
  /** Other cycles than those that the board's description names. */
  readonly timing?: CoreTiming | undefined;
  readonly unpack?: UnpackSpeed | undefined;
  /** DMA memory of the board that the agent runs on instead of the mock's own. */
  readonly memory?: LinuxBoardOptions | undefined;
  readonly faults: readonly FaultSwitch[];
  /** The faults are switched on in turn, so far apart, instead of all from the start. */
  readonly faultEveryMs?: number | undefined;
}

/** The board that the agent itself runs on. */
export interface LinuxUrl {
  readonly kind: 'linux';
  /** A shipped board description, or a TOML file. */
  readonly board: string;
  readonly options: LinuxBoardOptions;
}

const DEFAULT_BOARD = 'pynq-z1';
const ALIASES: Readonly<Record<string, string>> = { v1: 'pynq-z1-v1', v3: 'pynq-z1' };

/**
 * Reads a device URL. `mock:`, `mock:NAME` or `mock:FILE.toml`, each with `?realtime=1`, `?timing=systemc|synthesised`,
 * `?unpack=words|hls` and `?fault=NAME`, where `NAME:after:count` lets `after` opportunities pass and then shows the fault `count` times; `fault` may be repeated.
 * With `?fault-every=SECONDS` one of them is switched on every so many seconds, in turn. With `?memory=` and `&devmem=1`, as below,
 * its DMA memory is that of the board that the agent runs on.
 * `linux:` (the board of /etc/pynq-llm/board.toml), `linux:NAME` or `linux:FILE.toml`, each with
 * `?memory=u-dma-buf|reserved|xrt|dma-heap`, `?devmem=1` and `?dma-mib=N`, the MiB of each u-dma-buf to send from that is made.
 * @throws PynqLlmError AGENT_DEVICE_URL
 */
export function parseDeviceUrl(url: string): DeviceUrl {
  const match = /^(mock|linux)(?::([^?]*))?(?:\?(.*))?$/.exec(url);
  if (match === null) throw badUrl(url, 'only mock: and linux: devices are known');
  const [, kind, place = '', query = ''] = match;
  const options = new URLSearchParams(query);
  return kind === 'mock' ? parseMock(url, place, options) : parseLinux(url, place, options);
}

function parseMock(url: string, place: string, options: URLSearchParams): MockUrl {
  let realTime = false;
  const faults: FaultSwitch[] = [];
  let faultEveryMs: number | undefined;
  let timing: CoreTiming | undefined;
  let unpack: UnpackSpeed | undefined;
  let memory: LinuxBoardOptions | undefined;
  for (const [key, value] of options) {
    if (key === 'fault') faults.push(parseFault(url, value));
    else if (key === 'fault-every' && /^\d{1,6}(\.\d{1,3})?$/.test(value) && Number(value) > 0)
      faultEveryMs = Number(value) * 1_000;
    else if (key === 'timing' && (value === 'systemc' || value === 'synthesised')) timing = value;
    else if (key === 'unpack' && (value === 'words' || value === 'hls')) unpack = value;
    else if (MEMORY_OPTIONS.has(key)) memory = { ...memory, ...parseMemory(url, key, value) };
    else if (key === 'realtime' && (value === '1' || value === '0')) realTime = value === '1';
    else throw unknownOption(url, key, value);
  }
  if (faultEveryMs !== undefined && faults.length === 0)
    throw badUrl(url, 'fault-every says how often and no fault says what');
  if (memory !== undefined && memory.memory === undefined)
    throw badUrl(url, 'without memory=KIND the mock has memory of its own, to which no other option applies');
  const board = place === '' ? DEFAULT_BOARD : (ALIASES[place] ?? place);
  return {
    kind: 'mock',
    board,
    realTime,
    faults,
    ...(faultEveryMs === undefined ? {} : { faultEveryMs }),
    ...(timing === undefined ? {} : { timing }),
    ...(unpack === undefined ? {} : { unpack }),
    ...(memory === undefined ? {} : { memory }),
  };
}

function parseLinux(url: string, place: string, query: URLSearchParams): LinuxUrl {
  let options: LinuxBoardOptions = {};
  for (const [key, value] of query) options = { ...options, ...parseMemory(url, key, value) };
  return { kind: 'linux', board: place === '' ? INSTALLED_BOARD : place, options };
}

const MEMORY_OPTIONS: ReadonlySet<string> = new Set(['memory', 'devmem', 'dma-mib']);

/** One of the options that say which memory of this machine is used. @throws PynqLlmError AGENT_DEVICE_URL */
function parseMemory(url: string, key: string, value: string): LinuxBoardOptions {
  const memory = MEMORY_KINDS.find((kind) => kind === value);
  if (key === 'memory' && memory !== undefined) return { memory };
  if (key === 'dma-mib' && /^[1-9]\d{0,3}$/.test(value)) return { inBytes: Number(value) * 2 ** 20 };
  if (key === 'devmem' && (value === '1' || value === '0')) return { devmem: value === '1' };
  throw unknownOption(url, key, value);
}

/**
 * Opens the device that a URL names. The one place of the agent that knows what kinds of device there are.
 * @throws PynqLlmError AGENT_DEVICE_URL, DRIVER_BOARD_UNKNOWN, DRIVER_BOARD_FILE_INVALID, MOCK_..., LINUX_...
 */
export function openBoard(url: string): Board {
  const device = parseDeviceUrl(url);
  if (device.kind === 'linux') {
    const description = loadInstalledBoard(device.board);
    return openLinuxBoard(description, memoryOptions(url, description, device.options));
  }
  const { realTime, faults, faultEveryMs } = device;
  const description = mockDescription(url, device);
  const memory =
    device.memory && openLinuxMemory(description, memoryOptions(url, description, device.memory));
  return openMockBoard(description, { realTime, faults, faultEveryMs, memory });
}

function memoryOptions(
  url: string,
  description: BoardDescription,
  options: LinuxBoardOptions,
): LinuxBoardOptions {
  if (options.inBytes !== undefined && description.dmaDevices === undefined)
    throw badUrl(url, `dma-mib sizes devices that are made, and ${description.name} has memory of its own`);
  return { least: leastMemory(description), ...options };
}

/** Whether what the device computes takes the time that it would on a board. @throws PynqLlmError AGENT_DEVICE_URL */
export function takesRealTime(url: string): boolean {
  const device = parseDeviceUrl(url);
  return device.kind === 'linux' || device.realTime;
}

/** What the mock is to be: the board's description, in the timing that the URL asks for. */
function mockDescription(url: string, { board, timing, unpack }: MockUrl): BoardDescription {
  const description = loadBoardDescription(board);
  if (timing === 'synthesised' && description.revision === 'v1')
    throw badUrl(url, 'how many cycles a synthesised v1 takes is not known');
  return { ...description, timing: timing ?? description.timing, unpack: unpack ?? description.unpack };
}

function parseFault(url: string, text: string): FaultSwitch {
  const [name, after = '0', count = '1'] = text.split(':');
  if (!isFaultName(name))
    throw badUrl(url, `the mock has no fault "${name}"; it has ${Object.keys(FAULTS).join(', ')}`);
  if (!/^\d{1,9}$/.test(after) || !/^\d{1,9}$/.test(count))
    throw badUrl(url, `"${text}" is not NAME:after:count`);
  return { name, after: Number(after), count: Number(count) };
}

function unknownOption(url: string, key: string, value: string): PynqLlmError {
  return badUrl(url, `the option ${key}=${value} is not known`);
}

function badUrl(url: string, why: string): PynqLlmError {
  return new PynqLlmError('AGENT_DEVICE_URL', `"${url}" is no device: ${why}.`, { context: { url } });
}
