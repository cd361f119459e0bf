import { type Clock, reasonOf, SYSTEM_CLOCK } from '../fpga-manager/system-files.js';
import { type OpenSerialLine, openSerialLine, type SerialLine } from './serial-line.js';

/** Waits between attempts to open a port again: a board that is switched off and on is back within seconds. */
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 4_000;

export interface ConsoleOptions {
  readonly path: string;
  /** What the board says. */
  readonly onBytes: (bytes: Uint8Array) => void;
  /** For people: the port was lost, or is back. */
  readonly onNotice: (text: string) => void;
  readonly open?: OpenSerialLine;
  readonly clock?: Clock;
}

/** A terminal's line to a board that survives unplugging: it opens the port again, waiting longer each time. */
export class SerialConsole {
  readonly #options: ConsoleOptions;
  readonly #open: OpenSerialLine;
  readonly #clock: Clock;
  #line: SerialLine | undefined;
  #closed = false;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    this.#open = options.open ?? openSerialLine;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
  }

  /** Opens the port for the first time. @throws PynqLlmError FIRMWARE_SERIAL_FAILED */
  async start(): Promise<void> {
    this.#line = await this.#open(this.#options.path, {
      onBytes: this.#options.onBytes,
      onClosed: (reason) => void this.#reopen(reason),
    });
  }

  /** Sends what was typed; while the port is away it is dropped, as on a terminal with its cable pulled. */
  send(bytes: Uint8Array): void {
    this.#line?.write(bytes).catch((error: unknown) => this.#options.onNotice(reasonOf(error)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#line?.close();
    this.#line = undefined;
  }

  async #reopen(reason: string): Promise<void> {
    this.#line = undefined;
    const { path, onNotice } = this.#options;
    onNotice(`${path} is gone (${reason}); waiting for it to come back.`);
    for (let wait = FIRST_RETRY_MS; !this.#closed; wait = Math.min(2 * wait, LAST_RETRY_MS)) {
      await this.#clock.sleep(wait);
      if (this.#closed) return;
      try {
        await this.start();
      } catch {
        // Still away, or not yet ready to be opened.
        continue;
      }
      if (this.#closed) return this.close();
      onNotice(`${path} is back.`);
      return;
    }
  }
}
