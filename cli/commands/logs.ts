import { Command } from 'commander';
import { type ChosenBoard, chosenBoards, isSeveral } from '../boards/devices.js';
import { nameWidth, onBoards, PrefixedLines } from '../boards/several.js';
import { type DevicesOptions, wholeNumber, withDevices } from '../options.js';
import { printText } from '../output/print.js';
import { withInterrupt } from '../session.js';

interface LogsOptions extends DevicesOptions {
  readonly lines: number;
  readonly follow?: boolean;
}

/** `logs`: what the agent's service wrote to the board's journal. */
export function logsCommand(): Command {
  const command = new Command('logs')
    .description("Print the log of the agent's service. Needs a device reached by ssh://USER@HOST.")
    .option('-f, --follow', 'go on with what comes until Ctrl-C')
    .option('-n, --lines <n>', 'how many lines from before', wholeNumber(0, 1_000_000), 100);
  return withDevices(command).action(async (options: LogsOptions, self: Command) => {
    const boards = await chosenBoards(options, self);
    if (!isSeveral(options)) {
      await withInterrupt((signal) => showLog(boards[0]!, options, signal, (text) => void printText(text)));
      return;
    }
    await onBoards(boards, async (board, signal) => {
      const lines = new PrefixedLines(board.name, nameWidth(boards));
      await showLog(board, options, signal, (text) => lines.write(text));
      lines.end();
    });
  });
}

async function showLog(
  { device }: ChosenBoard,
  { lines, follow = false }: LogsOptions,
  signal: AbortSignal,
  onText: (text: string) => void,
): Promise<void> {
  const { AgentService } = await import('../../sdk/index.js');
  await using service = await AgentService.open(device, { signal });
  await service.logs({ lines, follow, onText, signal });
}
