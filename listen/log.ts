import { harmlessLines } from '../errors/index.js';
import type { Clock } from '../protocol/index.js';

/** What the agent writes its log with; a pino logger is one. */
export interface Log {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** For an agent inside another program, whose output is not the agent's. */
export const silentLog: Log = { info() {}, warn() {}, error() {} };

/** Lines of one kind that clients can cause at will, within this time; more of them are only counted. */
const LINES = 20;
const WINDOW_MS = 60_000;
/** What clients say of themselves may be as long as a header or a frame. */
const MAX_TEXT = 2_000;

interface Kind {
  lines: number;
  leftOut: number;
}

/**
 * A log for what others cause: of lines with the same message so many are written a minute, then one that says how many
 * were left out; text in their facts is cut, and made harmless for whoever prints the log.
 */
export class LimitedLog implements Log {
  readonly #log: Log;
  readonly #clock: Clock;
  /** By message, of which the program has a few. */
  readonly #kinds = new Map<string, Kind>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  info(facts: object, message: string): void {
    if (this.#takes(message)) this.#log.info(shortened(facts), message);
  }

  warn(facts: object, message: string): void {
    if (this.#takes(message)) this.#log.warn(shortened(facts), message);
  }

  error(facts: object, message: string): void {
    if (this.#takes(message)) this.#log.error(shortened(facts), message);
  }

  #takes(message: string): boolean {
    let kind = this.#kinds.get(message);
    if (kind === undefined) {
      kind = { lines: 0, leftOut: 0 };
      this.#kinds.set(message, kind);
      this.#clock.after(WINDOW_MS, () => this.#endWindow(message));
    }
    if (++kind.lines <= LINES) return true;
    kind.leftOut++;
    return false;
  }

  #endWindow(message: string): void {
    const leftOut = this.#kinds.get(message)?.leftOut ?? 0;
    this.#kinds.delete(message);
    if (leftOut > 0) this.#log.warn({ leftOut, of: message }, 'lines of the log were left out');
  }
}

function shortened(facts: object): object {
  const fields = Object.entries(facts).map(([key, value]) => [
    key,
    typeof value === 'string' ? cut(value) : value,
  ]);
  return Object.fromEntries(fields);
}

function cut(text: string): string {
  return harmlessLines(text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);
}
