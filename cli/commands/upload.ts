import { Argument, Command } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import type { BoardClient } from '../../sdk/index.js';
import { chosenBoards, isSeveral } from '../boards/devices.js';
import { nameWidth, onBoard, onBoards, outcomesByName, PrefixedLines } from '../boards/several.js';
import {
  type DevicesOptions,
  type LoadFlags,
  loadSettings,
  withDevices,
  withJson,
  withLoad,
} from '../options.js';
import { printText } from '../output/print.js';
import type { ProgressStream } from '../output/progress.js';
import { formatBytes } from '../output/units.js';
import { quantized } from '../quantized-file.js';
import { storeModel, withBoard, withInterrupt } from '../session.js';

interface UploadOptions extends DevicesOptions, LoadFlags {
  readonly force?: boolean;
  readonly name?: string;
  readonly quantize?: string;
  readonly pad?: boolean;
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
    .option(
      '--pad',
      "with --quantize: pad rows that are no multiple of 256, so that they get the core's types",
    )
    .option('-f, --force', 'also a model that the board could not load');
  withJson(
    withDevices(withLoad(command)),
    'the stored model as one JSON object; of several boards one object by their names',
  );
  return command.action(async (path: string, options: UploadOptions, self: Command) => {
    const boards = await chosenBoards(options, self);
    const { json, quantize, pad = false } = options;
    if (pad && quantize === undefined)
      throw new PynqLlmError('CLI_BAD_ARGUMENT', '--pad goes with --quantize.');
    // Once, however many boards it goes to.
    using model =
      quantize === undefined
        ? kept(path)
        : await withInterrupt((signal) => quantized(path, quantize, pad, signal));
    const file = model.path;
    if (!isSeveral(options)) {
      await withBoard(boards[0]!, async (board, signal) => {
        const { stored, text } = await upload(board, file, options, signal);
        printText(json ? `${harmlessJson(stored)}\n` : `${text}\n`);
      });
      return;
    }
    const width = nameWidth(boards);
    const outcomes = await onBoards(boards, (board, signal) =>
      onBoard(board, signal, async (client) => {
        const { stream } = new PrefixedLines(board.name, width, true);
        const { stored, text } = await upload(client, file, options, signal, stream);
        if (!json) new PrefixedLines(board.name, width).write(`${text}\n`);
        return stored;
      }),
    );
    if (json) printText(`${harmlessJson(outcomesByName(outcomes))}\n`);
  });
}

function kept(path: string): { readonly path: string } & Disposable {
  return { path, [Symbol.dispose]: () => {} };
}

async function upload(
  board: BoardClient,
  file: string,
  options: UploadOptions,
  signal: AbortSignal,
  stream?: ProgressStream,
) {
  if (options.force !== true) await board.models.requireRoom(file, loadSettings(options));
  const before = new Set((await board.models.list()).map(({ digest }) => digest));
  const stored = await storeModel(board, file, signal, options.name, stream);
  const already = before.has(stored.digest) ? '  (was there already)' : '';
  return {
    stored,
    text: `${stored.names.join(', ')}  ${formatBytes(stored.bytes)}  ${stored.digest}${already}`,
  };
}
