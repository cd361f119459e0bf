import { Argument, Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import {
  type DeviceOptions,
  type LoadFlags,
  loadSettings,
  withDevice,
  withJson,
  withLoad,
} from '../options.js';
import { printText } from '../output/print.js';
import { formatBytes } from '../output/units.js';
import { quantized } from '../quantized-file.js';
import { storeModel, withBoard } from '../session.js';

interface UploadOptions extends DeviceOptions, LoadFlags {
  readonly force?: boolean;
  readonly name?: string;
  readonly quantize?: string;
  readonly json?: boolean;
}

/** `upload`: puts a model file on the board without loading it. */
export function uploadCommand(): Command {
  const command = new Command('upload')
    .description(
      'Put a model on the board, if the board could load it. Goes on where a broken upload stopped; skips what the board has.',
    )
    .addArgument(new Argument('<file>', 'a .gguf file, of a split model the first part'))
    .option('--name <name>', "the model's name on the board; the file's name when left out")
    .option('--quantize <type>', 'quantise it on the way, such as Q4_K_M; the file stays as it is')
    .option('-f, --force', 'also a model that the board could not load');
  withJson(withDevice(withLoad(command)), 'the stored model as one JSON object');
  return command.action(async (path: string, options: UploadOptions) => {
    await withBoard(options, async (board, signal) => {
      using model =
        options.quantize === undefined ? kept(path) : await quantized(path, options.quantize, signal);
      const file = model.path;
      if (options.force !== true) await board.models.requireRoom(file, loadSettings(options));
      const before = new Set((await board.models.list()).map(({ digest }) => digest));
      const stored = await storeModel(board, file, signal, options.name);
      if (options.json) return printText(`${harmlessJson(stored)}\n`);
      const already = before.has(stored.digest) ? '  (was there already)' : '';
      printText(`${stored.names.join(', ')}  ${formatBytes(stored.bytes)}  ${stored.digest}${already}\n`);
    });
  });
}

function kept(path: string): { readonly path: string } & Disposable {
  return { path, [Symbol.dispose]: () => {} };
}
