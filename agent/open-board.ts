import type { Board } from '../driver/board.js';
import { loadBoardDescription } from '../driver/board-file.js';
import { PynqLlmError } from '../errors/index.js';
import { FAULTS, type FaultSwitch, isFaultName, openMockBoard } from '../mock-device/index.js';

/** What a device URL says. */
export interface DeviceUrl {
  /** A shipped board description, or a TOML file. */
  readonly board: string;
  readonly realTime: boolean;
  readonly faults: readonly FaultSwitch[];
}

const DEFAULT_BOARD = 'pynq-z1';
const ALIASES: Readonly<Record<string, string>> = { v1: 'pynq-z1-v1', v3: 'pynq-z1' };

/**
 * Reads a device URL: `mock:`, `mock:NAME` or `mock:FILE.toml`, each with `?realtime=1` and `?fault=NAME`, where
 * `NAME:after:count` lets `after` opportunities pass and then shows the fault `count` times. `fault` may be repeated.
 * @throws PynqLlmError AGENT_DEVICE_URL
 */
export function parseDeviceUrl(url: string): DeviceUrl {
  const match = /^mock(?::([^?]*))?(?:\?(.*))?$/.exec(url);
  if (match === null) throw badUrl(url, 'only mock: devices are known');
  const [, place = '', query = ''] = match;
  let realTime = false;
  const faults: FaultSwitch[] = [];
  for (const [key, value] of new URLSearchParams(query)) {
    if (key === 'fault') faults.push(parseFault(url, value));
    else if (key === 'realtime' && (value === '1' || value === '0')) realTime = value === '1';
    else throw badUrl(url, `the option ${key}=${value} is not known`);
  }
  return { board: place === '' ? DEFAULT_BOARD : (ALIASES[place] ?? place), realTime, faults };
}

/**
 * Opens the device that a URL names. The one place of the agent that knows what kinds of device there are.
 * @throws PynqLlmError AGENT_DEVICE_URL, DRIVER_BOARD_UNKNOWN, DRIVER_BOARD_FILE_INVALID, MOCK_...
 */
export function openBoard(url: string): Board {
  const { board, realTime, faults } = parseDeviceUrl(url);
  return openMockBoard(loadBoardDescription(board), { realTime, faults });
}

function parseFault(url: string, text: string): FaultSwitch {
  const [name, after = '0', count = '1'] = text.split(':');
  if (!isFaultName(name))
    throw badUrl(url, `the mock has no fault "${name}"; it has ${Object.keys(FAULTS).join(', ')}`);
  if (!/^\d{1,9}$/.test(after) || !/^\d{1,9}$/.test(count))
    throw badUrl(url, `"${text}" is not NAME:after:count`);
  return { name, after: Number(after), count: Number(count) };
}

function badUrl(url: string, why: string): PynqLlmError {
  return new PynqLlmError('AGENT_DEVICE_URL', `"${url}" is no device: ${why}.`, { context: { url } });
}
