import { Command } from 'commander';
import { type DeviceOptions, withDevice } from '../options.js';
import { printText } from '../output/print.js';
import { formatDuration } from '../output/units.js';
import { withInterrupt } from '../session.js';

/** `restart`: restarts the agent's service. */
export function restartCommand(): Command {
  const command = new Command('restart').description(
    "Restart the agent's service and wait until the agent answers. Needs a device reached by ssh://USER@HOST.",
  );
  return withDevice(command).action(async ({ device, token }: DeviceOptions) => {
    await withInterrupt(async (signal) => {
      const { AgentService } = await import('../../sdk/index.js');
      await using service = await AgentService.open(device, { token, signal });
      const started = performance.now();
      const { active, sub } = await service.restart();
      printText(`${active} (${sub}), answers after ${formatDuration(performance.now() - started)}\n`);
    });
  });
}
