import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT } from '../exit.js';
import { printText } from '../output/print.js';
import { drawLine, type Line, wantsColours } from './line.js';
import { TerminalScreen } from './terminal.js';

/** Lines of a file or a pipe are as long as they are. */
const PIPE_COLUMNS = 120;

/** What is shown again and again. */
export interface LiveView {
  /** Asks anew: what is shown from then on is of the time since the last one. */
  next(): Promise<void>;
  lines(columns: number): Line[];
  /** One object, for programs. */
  json(): string;
  /** The look changes. */
  onKey(key: string): void;
}

export interface LiveOptions {
  /** Seconds from one screen to the next. */
  readonly interval: number;
  /** Whether one screen, of one interval, is all. */
  readonly once: boolean;
  readonly json: boolean;
}

/**
 * Shows a view until q or Ctrl-C: as a screen on a terminal, else as plain text or JSON, one behind the other.
 * @param begin told what ends with it, before the first look
 */
export async function showLive(
  view: LiveView,
  options: LiveOptions,
  signal: AbortSignal,
  begin: (ended: AbortSignal) => void = () => {},
): Promise<void> {
  const { interval, once, json } = options;
  const quit = new AbortController();
  const ended = AbortSignal.any([signal, quit.signal]);
  // Who is asked may hang and give no answer: a second Ctrl-C ends at once.
  const onQuit = () => (quit.signal.aborted ? process.exit(EXIT.interrupted) : quit.abort());
  const draw = () => screen?.show((columns) => view.lines(columns));
  const onKey = (key: string) => {
    view.onKey(key);
    draw();
  };
  using screen = isLive(options) ? new TerminalScreen(onQuit, onKey) : undefined;
  begin(ended);
  // The first screen has no rates yet.
  await view.next();
  draw();
  while (await pauseUnless(ended, interval)) {
    await view.next();
    if (screen !== undefined) draw();
    else if (json) printText(`${view.json()}\n`);
    // Its pieces are harmless already, and its colours are meant.
    else process.stdout.write(`${plainScreen(view)}\n\n`);
    if (once) return;
  }
}

/** Whether a terminal shows it as a screen that changes. */
export function isLive({ once, json }: Pick<LiveOptions, 'once' | 'json'>): boolean {
  return process.stdout.isTTY && !once && !json;
}

/** @returns false where it ended early */
export async function pauseUnless(ended: AbortSignal, seconds: number): Promise<boolean> {
  try {
    await sleep(seconds * 1000, undefined, { signal: ended });
    return true;
  } catch {
    return false;
  }
}

/** The screen as lines of text, whole. */
function plainScreen(view: LiveView): string {
  const columns = process.stdout.columns || PIPE_COLUMNS;
  const hasColours = wantsColours(process.stdout);
  return view
    .lines(columns)
    .map((line) => drawLine(line, hasColours ? columns : Number.POSITIVE_INFINITY, hasColours).trimEnd())
    .join('\n');
}
