import type { LogOutput } from './log-output.js';

/** Lines that wait for a reader that does not read: they must not become all memory of a board. */
const MAX_WAITING_BYTES = 256 * 1024;
/** A terminal that is held, or a disk that is full, is tried again so often. */
const RETRY_MS = 250;
/** The level of warnings, as pino numbers them. */
const WARN = 40;

/**
 * Where a log's lines go, without ever waiting for it: they are written one piece after the other, wait while the output
 * takes nothing, and are dropped and counted where too many wait. How many is said once it flows again. A reader that has
 * gone takes nothing any more.
 */
export class LogSink {
  readonly #output: LogOutput;
  #waiting: string[] = [];
  #waitingBytes = 0;
  /** What is being written, from its first byte that was not. */
  #piece: Buffer<ArrayBuffer> = Buffer.alloc(0);
  #isWriting = false;
  #isGone = false;
  #dropped = 0;
  #retry: NodeJS.Timeout | undefined;
  #onIdle = () => {};

  constructor(output: LogOutput) {
    this.#output = output;
  }

  /** Takes a line with its end. */
  write(line: string): void {
    if (this.#isGone) return;
    const bytes = Buffer.byteLength(line);
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += bytes;
    this.#writeNext();
  }

  /** Resolves once everything is written, the reader has gone, or `ms` milliseconds are over. */
  async flush(ms: number): Promise<void> {
    if (this.#isIdle) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
  }

  get #isIdle(): boolean {
    return this.#isGone || (!this.#isWriting && this.#piece.length === 0 && this.#waiting.length === 0);
  }

  #writeNext(): void {
    if (this.#isWriting || this.#retry !== undefined) return;
    if (this.#piece.length === 0) this.#piece = this.#takeWaiting();
    if (this.#piece.length === 0) {
      this.#onIdle();
      return;
    }
    this.#isWriting = true;
    this.#output.write(this.#piece, (written, error) => {
      this.#isWriting = false;
      this.#piece = this.#piece.subarray(written);
      if (error === null) this.#writeNext();
      else if (isForNow(error)) this.#tryAgain();
      else this.#giveUp();
    });
  }

  #takeWaiting(): Buffer<ArrayBuffer> {
    const lines = this.#waiting;
    if (this.#dropped > 0) lines.push(droppedLine(this.#dropped));
    this.#dropped = 0;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return Buffer.from(lines.join(''));
  }

  #tryAgain(): void {
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#writeNext();
    }, RETRY_MS);
    this.#retry.unref();
  }

  #giveUp(): void {
    this.#isGone = true;
    this.#waiting = [];
    this.#piece = Buffer.alloc(0);
    this.#onIdle();
  }
}

/** Whether the output may take more later: its reader is slow, or its disk full. */
function isForNow({ code }: NodeJS.ErrnoException): boolean {
  return code === 'EAGAIN' || code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}

function droppedLine(dropped: number): string {
  const msg = 'lines of the log were dropped: its reader, or its disk, did not take them';
  return `${JSON.stringify({ level: WARN, time: Date.now(), dropped, msg })}\n`;
}
