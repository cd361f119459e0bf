import { Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import type { BoardClient } from '../../sdk/index.js';
import { type ChosenBoard, chosenBoards, isSeveral } from '../boards/devices.js';
import { openStory, tellStories } from '../busy-mock.js';
import { EXIT } from '../exit.js';
import { type DevicesOptions, decimal, withDevices, withJson } from '../options.js';
import { withBoard, withInterrupt } from '../session.js';
import { type Figures, figuresOf } from '../top/figures.js';
import { FigureHistory } from '../top/history.js';
import { SORTS, type TopLook } from '../top/layout.js';
import { type Line, line } from '../top/line.js';
import { isLive, type LiveOptions, type LiveView, pauseUnless, showLive } from '../top/live.js';
import { type Sample, takeSample } from '../top/sample.js';
import { screenLines } from '../top/screen.js';
import { topOfSeveral } from '../top/several.js';
import { TerminalScreen } from '../top/terminal.js';

interface TopOptions extends DevicesOptions, TopFlags {
  readonly story: boolean;
}

/** Flags of all that is shown live. */
export interface TopFlags {
  readonly interval: number;
  readonly once?: boolean;
  readonly json?: boolean;
}

/** Adds `--interval` and `--once`. */
export function withTop(command: Command): Command {
  return command
    .option('--interval <seconds>', 'time from one screen to the next', decimal(0.1, 3_600), 1)
    .option('--once', 'print one screen, of one interval, and end');
}

export function liveOptions({ interval, once = false, json = false }: TopFlags): LiveOptions {
  return { interval, once, json };
}

/** `top`: what the board does, live. */
export function topCommand(): Command {
  const command = withTop(
    new Command('top').description(
      'Show live what a board does: sequences, queue, KV pages, units of the core, DMA. q leaves, h lists keys.',
    ),
  ).option('--no-story', 'leave a fresh mock idle: there is nothing to see of it then');
  withJson(withDevices(command), 'one JSON object an interval; of several boards by their names');
  return command.action(async (options: TopOptions, self: Command) => {
    const boards = await chosenBoards(options, self);
    if (isSeveral(options)) return severalBoards(boards, liveOptions(options));
    await withBoard(boards[0]!, async (board, signal) => {
      const model = await openStory({ device: boards[0]!.device, story: options.story }, board, signal);
      await showLive(new BoardView(board), liveOptions(options), signal, (ended) => {
        if (model !== undefined) void tellStories(model, ended);
      });
    });
  });
}

/** One board, since it was looked at before. */
class BoardView implements LiveView {
  readonly #board: BoardClient;
  readonly #device: string;
  readonly #history = new FigureHistory();
  #look: Omit<TopLook, 'columns'> = { sort: 'state', allUnits: false, help: false };
  #sample!: Sample;
  #figures: Figures | undefined;

  constructor(board: BoardClient) {
    this.#board = board;
    this.#device = `${board.info.device} (${board.info.description.title})`;
  }

  async next(): Promise<void> {
    const before = this.#sample as Sample | undefined;
    this.#sample = await takeSample(this.#board);
    this.#figures = before && figuresOf(before, this.#sample, this.#board.info.description);
    this.#history.add(this.#figures);
  }

  lines(columns: number): Line[] {
    const view = {
      device: this.#device,
      sample: this.#sample,
      figures: this.#figures,
      history: this.#history,
    };
    return screenLines(view, { ...this.#look, columns });
  }

  json(): string {
    const { health, device } = this.#sample;
    return harmlessJson({ device: this.#device, health, ...device, figures: this.#figures });
  }

  onKey(key: string): void {
    const { sort, allUnits, help } = this.#look;
    if (key === 'h' || key === '?') this.#look = { ...this.#look, help: !help };
    if (key === 'u') this.#look = { ...this.#look, allUnits: !allUnits };
    if (key === 's') this.#look = { ...this.#look, sort: SORTS[(SORTS.indexOf(sort) + 1) % SORTS.length] };
  }
}

async function severalBoards(boards: readonly ChosenBoard[], options: LiveOptions): Promise<void> {
  const { interval, once, json } = options;
  await withInterrupt(async (signal) => {
    const quit = new AbortController();
    const ended = AbortSignal.any([signal, quit.signal]);
    const onQuit = () => (quit.signal.aborted ? process.exit(EXIT.interrupted) : quit.abort());
    using screen = isLive(options) ? new TerminalScreen(onQuit, () => {}) : undefined;
    const show = screen && ((lines: readonly string[]) => screen.show(() => lines.map((text) => line(text))));
    await topOfSeveral(boards, signal, { json, once, pause: () => pauseUnless(ended, interval), show });
  });
}
