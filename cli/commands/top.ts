import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import { type ChosenBoard, chosenBoards, isSeveral } from '../boards/devices.js';
import { EXIT } from '../exit.js';
import { type DevicesOptions, decimal, withDevices, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { withBoard, withInterrupt } from '../session.js';
import { figuresOf } from '../top/figures.js';
import { takeSample } from '../top/sample.js';
import { screenLines, type TopView } from '../top/screen.js';
import { topOfSeveral } from '../top/several.js';
import { TerminalScreen } from '../top/terminal.js';

interface TopOptions extends DevicesOptions {
  readonly interval: number;
  readonly once?: boolean;
  readonly json?: boolean;
}

/** `top`: what the board does, live. */
export function topCommand(): Command {
  const command = new Command('top')
    .description('Show live what a board does: sequences, queue, KV pages, units of the core, DMA. q leaves.')
    .option('--interval <seconds>', 'time from one screen to the next', decimal(0.1, 3_600), 1)
    .option('--once', 'print one screen, of one interval, and end');
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
      using screen = live ? new TerminalScreen(onQuit) : undefined;
      let sample = await takeSample(board);
      // The first screen has no rates yet.
      screen?.show(screenLines({ device, sample, figures: undefined }));
      while (await pause(options.interval, ended)) {
        const before = sample;
        sample = await takeSample(board);
        const view = { device, sample, figures: figuresOf(before, sample, description) };
        if (screen !== undefined) screen.show(screenLines(view));
        else printText(options.json ? jsonLine(view) : `${screenLines(view).join('\n')}\n\n`);
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
    using screen = live ? new TerminalScreen(onQuit) : undefined;
    const show = screen && ((lines: readonly string[]) => screen.show(lines));
    await topOfSeveral(boards, signal, { json, once, pause: () => pause(interval, ended), show });
  });
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
