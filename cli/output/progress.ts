import { formatBytes, formatDuration } from './units.js';

const BAR_WIDTH = 28;
const REDRAW_MS = 100;
const PLAIN_LINE_EVERY_MS = 5_000;

/** Progress of one piece of long work on standard error: a bar that redraws on a terminal, a line now and then elsewhere. */
export class Progress {
  readonly #label: string;
  readonly #stream: NodeJS.WriteStream;
  readonly #started = performance.now();
  #lastDrawn = performance.now();
  #drawn = false;

  constructor(label: string, stream: NodeJS.WriteStream = process.stderr) {
    this.#label = label;
    this.#stream = stream;
    if (!stream.isTTY) this.#lastDrawn -= PLAIN_LINE_EVERY_MS - 1_000;
  }

  /** @param done bytes finished @param total bytes in all */
  update(done: number, total: number): void {
    const now = performance.now();
    if (now - this.#lastDrawn < (this.#stream.isTTY ? REDRAW_MS : PLAIN_LINE_EVERY_MS)) return;
    this.#lastDrawn = now;
    this.#drawn = true;
    const share = total === 0 ? 1 : done / total;
    const rate = formatBytes((done / (now - this.#started)) * 1000);
    const figures = `${(share * 100).toFixed(0).padStart(3)} %  ${formatBytes(done)} of ${formatBytes(total)}  ${rate}/s`;
    if (this.#stream.isTTY) {
      const filled = Math.round(share * BAR_WIDTH);
      this.#stream.write(
        `\r\x1b[K${this.#label} [${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${figures}`,
      );
    } else {
      this.#stream.write(`${this.#label} ${figures.trimStart()}\n`);
    }
  }

  /** Clears the bar; says how long it took where anything was shown. */
  finish(): void {
    if (!this.#drawn) return;
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[K');
    this.#stream.write(`${this.#label}: done in ${formatDuration(performance.now() - this.#started)}\n`);
  }
}
