import { delimiter, join } from 'node:path';
import { PynqLlmError } from '../../errors/index.js';
import { exists, SYSTEM_FILES, type SystemFiles } from '../fpga-manager/system-files.js';

/** A serial port of this computer. */
export interface SerialPortInfo {
  readonly path: string;
  /** Four hex digits each, where the port is on USB and the system says so. */
  readonly vendorId?: string;
  readonly productId?: string;
  readonly manufacturer?: string;
  /** Name under /dev/serial/by-id or the like: it has the interface number, which tells UART from JTAG. */
  readonly id?: string;
}

/** FTDI. PYNQ boards have an FT2232H (6010), Kria carriers an FT4232H (6011): JTAG on interface 0, the UART on 1. */
const FTDI = '0403';
const BOARD_CHIPS = new Set(['6010', '6011']);
const UART_INTERFACE = /if01|_1$|B$/;

/**
 * Lists the serial ports. On Linux the library runs `udevadm` and lets an error escape where there is none, so without
 * it the names in /dev are read instead.
 */
export async function listSerialPorts(
  environment: { readonly platform: string; readonly path: string; readonly files: SystemFiles } = {
    platform: process.platform,
    path: process.env.PATH ?? '',
    files: SYSTEM_FILES,
  },
): Promise<SerialPortInfo[]> {
  const { platform, path, files } = environment;
  if (platform === 'linux' && !(await isOnPath('udevadm', path, files))) return listDevices(files);
  const { SerialPort } = await import('serialport');
  const found = await SerialPort.list();
  return found.map((port) => ({
    path: port.path,
    ...(port.vendorId && { vendorId: port.vendorId.toLowerCase() }),
    ...(port.productId && { productId: port.productId.toLowerCase() }),
    ...(port.manufacturer && { manufacturer: port.manufacturer }),
    ...(port.pnpId && { id: port.pnpId }),
  }));
}

/**
 * The port that is a board's console, if exactly one can be.
 * @throws PynqLlmError FIRMWARE_NO_SERIAL_PORT, which names the candidates
 */
export function chooseBoardPort(ports: readonly SerialPortInfo[]): string {
  const boards = ports.filter(hasBoardChip);
  const uarts = boards.filter(isUart);
  const candidates = uarts.length > 0 ? uarts : boards.length > 0 ? boards : ports.filter(isUsb);
  const [only] = candidates;
  if (only && candidates.length === 1) return only.path;
  const seen = candidates.length > 0 ? candidates : ports;
  const list = seen.map(({ path, id }) => (id ? `${path} (${id})` : path)).join(', ');
  throw new PynqLlmError(
    'FIRMWARE_NO_SERIAL_PORT',
    candidates.length > 1
      ? `${candidates.length} serial ports can be a board's: ${list}.`
      : `No serial port looks like a board's${list ? `; there are ${list}` : '; this computer has none'}.`,
    { context: { ports: seen.map(({ path }) => path) } },
  );
}

/** Whether a port is a board's console, by its chip. */
export function isBoardPort(port: SerialPortInfo): boolean {
  return hasBoardChip(port) && isUart(port);
}

function hasBoardChip({ vendorId, productId, id }: SerialPortInfo): boolean {
  return (vendorId === FTDI && BOARD_CHIPS.has(productId ?? '')) || /digilent|xilinx/i.test(id ?? '');
}

function isUart({ id, path }: SerialPortInfo): boolean {
  return UART_INTERFACE.test(id ?? path);
}

function isUsb({ path, vendorId }: SerialPortInfo): boolean {
  return vendorId !== undefined || /ttyUSB|ttyACM|usbserial|usbmodem/.test(path);
}

async function isOnPath(program: string, path: string, files: SystemFiles): Promise<boolean> {
  for (const folder of path.split(delimiter))
    if (folder && (await exists(files, join(folder, program)))) return true;
  return false;
}

async function listDevices(files: SystemFiles): Promise<SerialPortInfo[]> {
  const byId = await files.readdir('/dev/serial/by-id').catch(() => []);
  if (byId.length > 0) return byId.toSorted().map((id) => ({ path: `/dev/serial/by-id/${id}`, id }));
  const devices = await files.readdir('/dev').catch(() => []);
  return devices
    .filter((name) => /^tty(USB|ACM)\d+$/.test(name))
    .toSorted()
    .map((name) => ({ path: `/dev/${name}` }));
}
