import { basename } from 'node:path';
import { Argument, Command } from 'commander';
import { type DeviceOptions, withDevice, withJson } from '../options.js';
import { Progress } from '../output/progress.js';
import { formatBytes } from '../output/units.js';
import { withBoard } from '../session.js';

interface UploadOptions extends DeviceOptions {
  readonly name?: string;
  readonly json?: boolean;
}

/** `upload`: puts a model file on the board without loading it. */
export function uploadCommand(): Command {
  const command = new Command('upload')
    .description('Put a model on the board. Goes on where a broken upload stopped; skips what the board has.')
    .addArgument(new Argument('<file>', 'a .gguf file'))
    .option('--name <name>', "the model's name on the board; the file's name when left out");
  withJson(withDevice(command), 'the stored model as one JSON object');
  return command.action(async (file: string, options: UploadOptions) => {
    await withBoard(options, async (board, signal) => {
      const progress = new Progress(`upload ${basename(file)}`);
      const stored = await board.models.store(file, {
        signal,
        onProgress: ({ bytes, totalBytes }) => progress.update(bytes, totalBytes),
        ...(options.name === undefined ? {} : { name: options.name }),
      });
      progress.finish();
      process.stdout.write(
        options.json
          ? `${JSON.stringify(stored)}\n`
          : `${stored.names.join(', ')}  ${formatBytes(stored.bytes)}  ${stored.digest}\n`,
      );
    });
  });
}
