const ENTER_SCREEN = '\x1b[?1049h\x1b[?25l';
const LEAVE_SCREEN = '\x1b[?25h\x1b[?1049l';
const CTRL_C = '\x03';

/** The terminal as a screen that is written anew each time, until it is left. What was there before comes back. */
export class TerminalScreen implements Disposable {
  readonly #onKey: (text: string) => void;
  readonly #onResize: () => void;
  #lines: readonly string[] = [];

  /** @param onQuit q or Ctrl-C */
  constructor(onQuit: () => void) {
    this.#onKey = (text) => {
      if (text.includes('q') || text.includes(CTRL_C)) onQuit();
    };
    this.#onResize = () => this.#draw();
    process.stdout.write(ENTER_SCREEN);
    process.stdout.on('resize', this.#onResize);
    if (!process.stdin.isTTY) return;
    process.stdin.setRawMode(true);
    process.stdin.setEncoding('utf8').on('data', this.#onKey).resume();
  }

  show(lines: readonly string[]): void {
    this.#lines = lines;
    this.#draw();
  }

  [Symbol.dispose](): void {
    process.stdout.off('resize', this.#onResize);
    process.stdout.write(LEAVE_SCREEN);
    if (!process.stdin.isTTY) return;
    process.stdin.off('data', this.#onKey).pause();
    process.stdin.setRawMode(false);
  }

  /** Every line is cut and cleared to its end, and what is below: nothing of the screen before stays. */
  #draw(): void {
    // A terminal that does not know its size says 0.
    const columns = process.stdout.columns || 80;
    const shown = this.#lines
      .slice(0, process.stdout.rows || 24)
      .map((line) => `${line.slice(0, columns)}\x1b[K`);
    process.stdout.write(`\x1b[H${shown.join('\r\n')}\x1b[J`);
  }
}
