import { Argument, Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import { EXIT } from '../exit.js';
import { readFile, writeFile } from '../files.js';
import { type DeviceOptions, modelOption, wholeNumber, withDevice, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { formatBytes } from '../output/units.js';
import { openModel, withBoard } from '../session.js';

/** `trace record` and `trace replay`: everything that crosses the Board seam, in a file (docs/trace-format.md). */
export function traceCommand(): Command {
  return new Command('trace')
    .description('Record every register access and DMA transfer of a short run; replay it on any device.')
    .addCommand(recordCommand())
    .addCommand(replayCommand());
}

interface RecordOptions extends DeviceOptions {
  readonly model: string;
  readonly maxTokens: number;
}

function recordCommand(): Command {
  const command = new Command('record')
    .description('Load a model and generate a few tokens while recording.')
    .addArgument(new Argument('<file>', 'where the trace goes'))
    .addArgument(new Argument('[prompt]', 'what to continue').default('Once upon a time'))
    .addOption(modelOption())
    .option('-n, --max-tokens <n>', 'tokens to generate', wholeNumber(1), 1);
  return withDevice(command).action(async (file: string, prompt: string, options: RecordOptions) => {
    await withBoard(options, async (board, signal) => {
      // A path that cannot be written is found before the work.
      writeFile(file, new Uint8Array());
      await board.trace.start();
      const model = await openModel(board, options.model, signal);
      for await (const _ of model.generate(prompt, { maxTokens: options.maxTokens, temperature: 0, signal }));
      const trace = await board.trace.stop();
      writeFile(file, trace);
      printText(`${file}: ${formatBytes(trace.length)}\n`);
    });
  });
}

function replayCommand(): Command {
  const command = new Command('replay')
    .description(
      'Do again what a trace holds and report the first answer that differs. Ends with status 3 if one does.',
    )
    .addArgument(new Argument('<file>', 'a recorded trace'));
  return withJson(withDevice(command), 'one JSON object').action(
    async (file: string, options: DeviceOptions & { json?: boolean }) => {
      const trace = readFile(file);
      await withBoard(options, async (board) => {
        const result = await board.trace.replay(trace);
        if (result.difference) process.exitCode = EXIT.mismatch;
        if (options.json) return printText(`${harmlessJson(result)}\n`);
        const { difference } = result;
        printText(
          difference
            ? `line ${difference.line}: ${difference.what}\n  expected ${difference.expected}\n  got      ${difference.got}\n`
            : `${result.events} events, no difference\n`,
        );
      });
    },
  );
}
