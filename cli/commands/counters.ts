import { Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import { openStory, tellStories, tellStory } from '../busy-mock.js';
import { type DeviceOptions, withDevice, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { formatTable } from '../output/table.js';
import { formatBytes, formatCount } from '../output/units.js';
import { withBoard } from '../session.js';

interface CountersOptions extends DeviceOptions {
  readonly reset?: boolean;
  readonly watch?: boolean;
  readonly story: boolean;
  readonly json?: boolean;
}

/** `counters`: the core's hardware counters and the driver's totals, once or step by step. */
export function countersCommand(): Command {
  const command = new Command('counters')
    .description("Read the core's hardware counters and the driver's totals.")
    .option('--reset', 'set the hardware counters to zero after reading')
    .option('--watch', 'print one line for every step of the engine until Ctrl-C')
    .option('--no-story', 'leave a fresh mock idle: all it has counted then is zero');
  withJson(withDevice(command), 'JSON (with --watch one object a line)');
  return command.action(async (options: CountersOptions) => {
    await withBoard(options, async (board, signal) => {
      const model = await openStory(options, board, signal);
      if (options.watch) {
        if (model !== undefined) void tellStories(model, signal);
        for await (const step of board.counters.subscribe({ signal }))
          printText(
            options.json
              ? `${harmlessJson(step)}\n`
              : `step ${step.step}  ${step.durationMs.toFixed(2)} ms  ${step.tokens} tokens  ${formatCount(step.traffic.coreCycles)} cycles  ` +
                  `${formatBytes(step.traffic.dmaBytes)}\n`,
          );
        return;
      }
      if (model !== undefined) await tellStory(model, signal);
      const reading = await board.counters.read();
      if (options.reset) await board.counters.reset();
      if (options.json) return printText(`${harmlessJson(reading)}\n`);
      const counters = reading.counters.map(({ name, target, targetName, cycles, state, stateName }) => [
        name,
        targetName ?? String(target),
        String(cycles),
        stateName ?? String(state),
      ]);
      const totals = Object.entries(reading.traffic).map(([name, value]) => [name, String(value)]);
      const headings = [
        { heading: 'unit' },
        { heading: 'counted state' },
        { heading: 'cycles', right: true },
        { heading: 'now' },
      ];
      printText(`${formatTable(headings, counters)}\n\n`);
      printText(
        `${formatTable([{ heading: 'since the device was opened' }, { heading: '', right: true }], totals)}\n`,
      );
    });
  });
}
