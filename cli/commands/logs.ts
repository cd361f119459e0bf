import { Command } from 'commander';
import { type DeviceOptions, wholeNumber, withDevice } from '../options.js';
import { printText } from '../output/print.js';
import { withInterrupt } from '../session.js';

interface LogsOptions extends DeviceOptions {
  readonly lines: number;
  readonly follow?: boolean;
}

/** `logs`: what the agent's service wrote to the board's journal. */
export function logsCommand(): Command {
  const command = new Command('logs')
    .description("Print the log of the agent's service. Needs a device reached by ssh://USER@HOST.")
    .option('-f, --follow', 'go on with what comes until Ctrl-C')
    .option('-n, --lines <n>', 'how many lines from before', wholeNumber(0, 1_000_000), 100);
  return withDevice(command).action(async (options: LogsOptions) => {
    await withInterrupt(async (signal) => {
      const { AgentService } = await import('../../sdk/index.js');
      await using service = await AgentService.open(options.device, { signal });
      await service.logs({
        lines: options.lines,
        follow: options.follow ?? false,
        onText: (text) => void printText(text),
        signal,
      });
    });
  });
}
