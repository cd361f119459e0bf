import { drawLine, type Line, wantsColours } from './line.js';

const ENTER_SCREEN = '\x1b[?1049h\x1b[?25l';
const LEAVE_SCREEN = '\x1b[?25h\x1b[?1049l';
const CTRL_C = '\x03';
const ENDING_SIGNALS = ['SIGTERM', 'SIGHUP'] as const;

/** The terminal as a screen that is written anew each time, until it is left. What was there before comes back. */
export class TerminalScreen implements Disposable {
  readonly #onKey: (text: string) => void;
  readonly #onResize: () => void;
  readonly #hasColours = wantsColours(process.stdout);
  readonly #leave = () => this[Symbol.dispose]();
  readonly #onSignal = (signal: NodeJS.Signals) => {
    this.#leave();
    // Nobody listens to it any more: the process ends as if nobody had.
    process.kill(process.pid, signal);
  };
  #lines: (columns: number) => readonly Line[] = () => [];

  /** @param onQuit q or Ctrl-C @param onKey any other */
  constructor(onQuit: () => void, onKey: (key: string) => void) {
    this.#onKey = (text) => {
      for (const key of text)
        if (key === 'q' || key === CTRL_C) onQuit();
        else onKey(key);
    };
    this.#onResize = () => this.#draw();
    process.stdout.write(ENTER_SCREEN);
    process.stdout.on('resize', this.#onResize);
    // Whatever ends the process, it does not leave the terminal like this.
    process.on('exit', this.#leave);
    for (const signal of ENDING_SIGNALS) process.on(signal, this.#onSignal);
    if (!process.stdin.isTTY) return;
    process.stdin.setRawMode(true);
    process.stdin.setEncoding('utf8').on('data', this.#onKey).resume();
  }

  /** @param lines the screen for so many columns; asked again where these change */
  show(lines: (columns: number) => readonly Line[]): void {
    this.#lines = lines;
    this.#draw();
  }

  [Symbol.dispose](): void {
    process.stdout.off('resize', this.#onResize);
    process.off('exit', this.#leave);
    for (const signal of ENDING_SIGNALS) process.off(signal, this.#onSignal);
    process.stdout.write(LEAVE_SCREEN);
    if (!process.stdin.isTTY) return;
    process.stdin.off('data', this.#onKey).pause();
    process.stdin.setRawMode(false);
  }

  /** Every line is cut and cleared to its end, and what is below: nothing of the screen before stays. */
  #draw(): void {
    // A terminal that does not know its size says 0.
    const columns = process.stdout.columns || 80;
    const shown = this.#lines(columns)
      .slice(0, process.stdout.rows || 24)
      .map((line) => `${drawLine(line, columns, this.#hasColours)}\x1b[K`);
    process.stdout.write(`\x1b[H${shown.join('\r\n')}\x1b[J`);
  }
}
