import { PynqLlmError } from '../../errors/index.js';
import { type Clock, SYSTEM_CLOCK } from '../fpga-manager/system-files.js';
import { type OpenSerialLine, openSerialLine } from '../serial/serial-line.js';
import type { WaitingFor } from './login.js';
import { checkRequest, type ProvisionRequest, type ProvisionResult } from './request.js';
import { ProvisionSession, type ProvisionStep } from './session.js';

const TICK_MS = 200;
/** The UART has no flow control, and a receive buffer of 64 bytes (UG585, chapter 19). */
const BURST_BYTES = 64;
/** 64 bytes take 5.6 ms at 115200 baud; the rest is for the shell that reads them. */
const BURST_MS = 10;

export interface ProvisionOptions {
  /** Path of the serial port. */
  readonly port: string;
  /** For people: what is being done. */
  readonly onNotice?: (text: string) => void;
  /** Everything that the board writes: the boot log. The board does not echo passwords. */
  readonly onBytes?: (bytes: Uint8Array) => void;
  /** Asked where the console shows what is not recognised, with its last lines; without it that is an error. */
  readonly onQuestion?: (lines: readonly string[]) => Promise<WaitingFor | undefined>;
  readonly signal?: AbortSignal;
  readonly open?: OpenSerialLine;
  readonly clock?: Clock;
}

/**
 * Makes a board ready for SSH over its serial console: logs in, installs a public key, sets host name and address if
 * asked to, and reads addresses and host keys. Running it again changes nothing that is already so.
 * @throws PynqLlmError FIRMWARE_BAD_REQUEST, FIRMWARE_SERIAL_FAILED, FIRMWARE_WRONG_BAUD, FIRMWARE_NO_ANSWER,
 *   FIRMWARE_BOOT_FAILED, FIRMWARE_CONSOLE_UNKNOWN, FIRMWARE_LOGIN_REFUSED, FIRMWARE_COMMAND_FAILED
 */
export async function provisionBoard(
  request: ProvisionRequest,
  options: ProvisionOptions,
): Promise<ProvisionResult> {
  const {
    port,
    onNotice,
    onBytes,
    onQuestion,
    signal,
    open = openSerialLine,
    clock = SYSTEM_CLOCK,
  } = options;
  const checked = checkRequest(request);
  const received: Uint8Array[] = [];
  let lost: string | undefined;
  const line = await open(port, {
    onBytes: (bytes) => {
      onBytes?.(bytes);
      received.push(bytes);
    },
    onClosed: (reason) => {
      lost = reason;
    },
  });
  try {
    const session = new ProvisionSession(checked, clock.now());
    for (;;) {
      signal?.throwIfAborted();
      const bytes = Buffer.concat(received.splice(0));
      const steps: ProvisionStep[] = bytes.length > 0 ? [session.receive(bytes, clock.now())] : [];
      steps.push(session.elapse(clock.now()));
      for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
        const { send, notices, question, result, error } = step;
        for (const notice of notices) onNotice?.(notice);
        for (let at = 0; at < send.length; at += BURST_BYTES) {
          await line.write(new TextEncoder().encode(send.slice(at, at + BURST_BYTES)));
          await clock.sleep(BURST_MS);
        }
        if (error) throw error;
        if (result) return result;
        if (question) steps.push(session.answer(await onQuestion?.(question), clock.now()));
      }
      if (lost !== undefined)
        throw new PynqLlmError('FIRMWARE_SERIAL_FAILED', `The serial port ${port} is gone: ${lost}.`, {
          context: { port },
        });
      if (received.length === 0) await clock.sleep(bytes.length > 0 ? BURST_MS : TICK_MS);
    }
  } finally {
    await line.close();
  }
}
