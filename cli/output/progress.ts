import { harmless } from '../../errors/index.js';
import { formatBytes, formatDuration } from './units.js';

const BAR_WIDTH = 28;
/** A bar that is shorter says nothing. */
const SHORTEST_BAR = 5;
const REDRAW_MS = 100;
const PLAIN_LINE_EVERY_MS = 5_000;
const FIRST_PLAIN_LINE_MS = 1_000;

/** Where progress is shown: standard error, or a part of it. */
export interface ProgressStream {
  readonly isTTY: boolean;
  /** How wide the terminal is: a line that goes on in the next row could not be drawn over. */
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/**
 * Progress of one piece of long work on standard error: a bar that redraws on a terminal, a line now and then elsewhere.
 * Work that is over quickly shows nothing. Leaving its scope without `finish` clears the bar for the error message.
 */
export class Progress implements Disposable {
  readonly #label: string;
  readonly #format: (amount: number) => string;
  readonly #stream: ProgressStream;
  #started: number | undefined;
  #lastDrawn = 0;
  #drawn = false;

  /** @param format shows an amount of the work with its unit; bytes unless given */
  constructor(
    label: string,
    format: (amount: number) => string = formatBytes,
    stream: ProgressStream = process.stderr,
  ) {
    this.#label = harmless(label);
    this.#format = format;
    this.#stream = stream;
  }

  /** @param done amount finished @param total amount in all */
  update(done: number, total: number): void {
    const now = performance.now();
    if (this.#started === undefined) {
      this.#started = now;
      this.#lastDrawn = this.#stream.isTTY ? now : now - PLAIN_LINE_EVERY_MS + FIRST_PLAIN_LINE_MS;
    }
    if (now - this.#lastDrawn < (this.#stream.isTTY ? REDRAW_MS : PLAIN_LINE_EVERY_MS)) return;
    this.#lastDrawn = now;
    this.#drawn = true;
    const share = total === 0 ? 1 : done / total;
    const rate = this.#format((done / (now - this.#started)) * 1000);
    const figures = `${(share * 100).toFixed(0).padStart(3)} %  ${this.#format(done)} of ${this.#format(total)}  ${rate}/s`;
    if (this.#stream.isTTY) {
      // The last column stays free: with it some terminals are in the next row already.
      const columns = (this.#stream.columns || 80) - 1;
      const width = Math.min(BAR_WIDTH, columns - this.#label.length - figures.length - 4);
      const filled = Math.round(share * width);
      const bar = width < SHORTEST_BAR ? '' : ` [${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
      this.#stream.write(`\r\x1b[K${`${this.#label}${bar} ${figures}`.slice(0, columns)}`);
    } else {
      this.#stream.write(`${this.#label} ${figures.trimStart()}\n`);
    }
  }

  /** Says how long it took, where anything was shown. */
  finish(): void {
    if (!this.#drawn || this.#started === undefined) return;
    this[Symbol.dispose]();
    this.#stream.write(`${this.#label}: done in ${formatDuration(performance.now() - this.#started)}\n`);
  }

  [Symbol.dispose](): void {
    if (this.#drawn && this.#stream.isTTY) this.#stream.write('\r\x1b[K');
    this.#drawn = false;
  }
}
