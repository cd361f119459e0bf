import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import { type ChosenBoard, chosenBoards, isSeveral } from '../boards/devices.js';
import { openStory, tellStories } from '../busy-mock.js';
import { EXIT } from '../exit.js';
import { type DevicesOptions, decimal, withDevices, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { withBoard, withInterrupt } from '../session.js';
import { figuresOf } from '../top/figures.js';
import { FigureHistory } from '../top/history.js';
import { SORTS, type TopLook } from '../top/layout.js';
import { drawLine, line, wantsColours } from '../top/line.js';
import { takeSample } from '../top/sample.js';
import { screenLines, type TopView } from '../top/screen.js';
import { topOfSeveral } from '../top/several.js';
import { TerminalScreen } from '../top/terminal.js';

interface TopOptions extends DevicesOptions {
  readonly interval: number;
  readonly once?: boolean;
  readonly json?: boolean;
  readonly story: boolean;
}

/** Lines of a file or a pipe are as long as they are. */
const PIPE_COLUMNS = 120;

/** `top`: what the board does, live. */
export function topCommand(): Command {
  const command = new Command('top')
    .description(
      'Show live what a board does: sequences, queue, KV pages, units of the core, DMA. q leaves, h lists keys.',
    )
    .option('--interval <seconds>', 'time from one screen to the next', decimal(0.1, 3_600), 1)
    .option('--once', 'print one screen, of one interval, and end')
    .option('--no-story', 'leave a fresh mock idle: there is nothing to see of it then');
  withJson(withDevices(command), 'one JSON object an interval; of several boards by their names');
  return command.action(async (options: TopOptions, self: Command) => {
    const boards = await chosenBoards(options, self);
    if (isSeveral(options)) return severalBoards(boards, options);
    await withBoard(boards[0]!, async (board, signal) => {
      const quit = new AbortController();
      const ended = AbortSignal.any([signal, quit.signal]);
      const { description } = board.info;
      const { title } = description;
      const device = `${board.info.device} (${title})`;
      const live = process.stdout.isTTY && !options.once && !options.json;
      // An agent that hangs gives no sample: a second Ctrl-C ends at once.
      const onQuit = () => (quit.signal.aborted ? process.exit(EXIT.interrupted) : quit.abort());
      let look: Omit<TopLook, 'columns'> = { sort: 'state', allUnits: false, help: false };
      let view: TopView | undefined;
      const draw = () => {
        const shown = view;
        if (shown !== undefined) screen?.show((columns) => screenLines(shown, { ...look, columns }));
      };
      const onKey = (key: string) => {
        look = afterKey(look, key);
        draw();
      };
      const model = await openStory({ device: boards[0]!.device, story: options.story }, board, signal);
      using screen = live ? new TerminalScreen(onQuit, onKey) : undefined;
      if (model !== undefined) void tellStories(model, ended);
      const history = new FigureHistory();
      let sample = await takeSample(board);
      // The first screen has no rates yet.
      view = { device, sample, figures: undefined, history };
      draw();
      while (await pause(options.interval, ended)) {
        const before = sample;
        sample = await takeSample(board);
        const figures = figuresOf(before, sample, description);
        history.add(figures);
        view = { device, sample, figures, history };
        if (screen !== undefined) draw();
        else if (options.json) printText(jsonLine(view));
        // Its pieces are harmless already, and its colours are meant.
        else process.stdout.write(`${plainScreen(view, look)}\n\n`);
        if (options.once) return;
      }
    });
  });
}

async function severalBoards(boards: readonly ChosenBoard[], options: TopOptions): Promise<void> {
  const { interval, once = false, json = false } = options;
  await withInterrupt(async (signal) => {
    const quit = new AbortController();
    const ended = AbortSignal.any([signal, quit.signal]);
    const live = process.stdout.isTTY && !once && !json;
    const onQuit = () => (quit.signal.aborted ? process.exit(EXIT.interrupted) : quit.abort());
    using screen = live ? new TerminalScreen(onQuit, () => {}) : undefined;
    const show = screen && ((lines: readonly string[]) => screen.show(() => lines.map((text) => line(text))));
    await topOfSeveral(boards, signal, { json, once, pause: () => pause(interval, ended), show });
  });
}

/** How the screen looks after a key. */
function afterKey(look: Omit<TopLook, 'columns'>, key: string): Omit<TopLook, 'columns'> {
  if (key === 'h' || key === '?') return { ...look, help: !look.help };
  if (key === 'u') return { ...look, allUnits: !look.allUnits };
  if (key === 's') return { ...look, sort: SORTS[(SORTS.indexOf(look.sort) + 1) % SORTS.length] };
  return look;
}

/** The screen as lines of text, whole. */
function plainScreen(view: TopView, look: Omit<TopLook, 'columns'>): string {
  const columns = process.stdout.columns || PIPE_COLUMNS;
  const hasColours = wantsColours(process.stdout);
  return screenLines(view, { ...look, columns })
    .map((line) => drawLine(line, hasColours ? columns : Number.POSITIVE_INFINITY, hasColours).trimEnd())
    .join('\n');
}

/** @returns false where it ended early */
async function pause(seconds: number, ended: AbortSignal): Promise<boolean> {
  try {
    await sleep(seconds * 1000, undefined, { signal: ended });
    return true;
  } catch {
    return false;
  }
}

function jsonLine({ device, sample, figures }: TopView): string {
  const { health, device: state } = sample;
  return `${harmlessJson({ device, health, ...state, figures })}\n`;
}
