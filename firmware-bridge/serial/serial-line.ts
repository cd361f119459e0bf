import { PynqLlmError } from '../../errors/index.js';
import { reasonOf } from '../fpga-manager/system-files.js';

/** What the UART of PYNQ and Kria boards runs at: 8 data bits, no parity, one stop bit. */
export const BAUD_RATE = 115_200;

/** An open serial line: bytes both ways. */
export interface SerialLine {
  /** @throws PynqLlmError FIRMWARE_SERIAL_FAILED */
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** What a line reports. After `onClosed`, which comes once, nothing follows. */
export interface SerialListener {
  onBytes(bytes: Uint8Array): void;
  /** The cable was pulled, or the other side hung up. Not called after `close()`. */
  onClosed(reason: string): void;
}

export type OpenSerialLine = (path: string, listener: SerialListener) => Promise<SerialLine>;

/**
 * Opens a serial port. DTR and RTS stay as the system sets them: boards do not use them, and a pseudo-terminal refuses
 * every change. Closing does not lower them either, which would reset some boards.
 * @throws PynqLlmError FIRMWARE_SERIAL_FAILED
 */
export const openSerialLine: OpenSerialLine = async (path, listener) => {
  const { SerialPort } = await import('serialport');
  const port = new SerialPort({ path, baudRate: BAUD_RATE, autoOpen: false, hupcl: false });
  await new Promise<void>((resolve, reject) => {
    port.open((error) => (error ? reject(failed(path, 'cannot be opened', error)) : resolve()));
  });
  let closed = false;
  const lost = (reason: string) => {
    if (closed) return;
    closed = true;
    listener.onClosed(reason);
  };
  port.on('data', (bytes: Buffer) => {
    if (!closed) listener.onBytes(bytes);
  });
  port.on('error', (error) => lost(reasonOf(error)));
  port.on('close', (error: unknown) => lost(error ? reasonOf(error) : 'the port was closed'));
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(failed(path, 'is closed', undefined));
        port.write(Buffer.from(bytes), (error) => (error ? reject(failed(path, 'broke', error)) : resolve()));
      }),
    close: () =>
      new Promise((resolve) => {
        closed = true;
        if (!port.isOpen) return resolve();
        port.close(() => resolve());
      }),
  };
};

function failed(path: string, what: string, cause: unknown): PynqLlmError {
  const why = cause === undefined ? '' : `: ${reasonOf(cause)}`;
  return new PynqLlmError('FIRMWARE_SERIAL_FAILED', `The serial port ${path} ${what}${why}.`, {
    context: { port: path },
    cause,
  });
}
