import { Argument, Command } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import type { BoardClient } from '../../sdk/index.js';
import {
  type DeviceOptions,
  type LoadFlags,
  loadSettings,
  withDevice,
  withJson,
  withLoad,
} from '../options.js';
import { printText } from '../output/print.js';
import { formatTable } from '../output/table.js';
import { formatBytes } from '../output/units.js';
import { loadModel, withBoard } from '../session.js';
import { describeVerdict } from './inspect-verdict.js';

/** `models` and its subcommands: what the board stores and has loaded. */
export function modelsCommand(): Command {
  const command = new Command('models').description(
    'List the models on the board; check, load, unload or delete one.',
  );
  const list = new Command('list').description('List the models on the board.');
  // `models` alone lists, so that commander takes a misspelt subcommand for an argument of `list`.
  list.addArgument(new Argument('[subcommand]').default(undefined, '')).usage('[options]');
  withJson(withDevice(list), 'a JSON list');
  list.action(async (misspelt: string | undefined, options: DeviceOptions & { json?: boolean }) => {
    if (misspelt !== undefined)
      throw new PynqLlmError('CLI_BAD_ARGUMENT', `\`models\` has no subcommand "${misspelt}".`);
    const models = await withBoard(options, (board) => board.models.list());
    if (options.json) return printText(`${harmlessJson(models)}\n`);
    const rows = models.map(({ names, bytes, state, digest }) => [
      names.join(', ') || '-',
      formatBytes(bytes),
      state,
      digest,
    ]);
    const table = formatTable(
      [{ heading: 'name' }, { heading: 'size', right: true }, { heading: 'state' }, { heading: 'digest' }],
      rows,
    );
    printText(models.length === 0 ? 'no models; put one there with: pynq-llm upload FILE\n' : `${table}\n`);
  });
  command.addCommand(list, { isDefault: true });
  command.addCommand(checkCommand());
  command.addCommand(loadCommand());
  command.addCommand(
    action('unload', 'Free the memory of a loaded model.', async (board, model) => {
      await board.models.unload(model);
      return `${model}: unloaded`;
    }),
  );
  command.addCommand(
    action('delete', 'Delete a model from the board.', async (board, model) => {
      await board.models.delete(model);
      return `${model}: deleted`;
    }),
  );
  return command;
}

function checkCommand(): Command {
  const command = new Command('check')
    .description('Say whether a stored model could be loaded now, and what of it is assumed. Loads nothing.')
    .addArgument(new Argument('<model>', 'name or digest'));
  withJson(withDevice(withLoad(command)), 'one JSON object {"assumed","memory"}');
  return command.action((name: string, options: DeviceOptions & LoadFlags & { json?: boolean }) =>
    withBoard(options, async (board) => {
      const found = await board.models.check(name, loadSettings(options));
      if (options.json) return printText(`${harmlessJson(found)}\n`);
      const { contextLength, kvTokens, table } = found.memory;
      printText(
        `${describeVerdict({ ok: true, board: board.info.description.name }, found.assumed)}\n\n${table}\n\n`,
      );
      printText(`a context of ${contextLength} tokens, keys and values of ${kvTokens} for one sequence\n`);
    }),
  );
}

function loadCommand(): Command {
  const command = new Command('load')
    .description('Load a model into the device.')
    .addArgument(new Argument('<model>', 'name or digest'));
  return withDevice(withLoad(command)).action((name: string, options: DeviceOptions & LoadFlags) =>
    withBoard(options, async (board, signal) => {
      const { info, placement } = await loadModel(board, name, name, signal, loadSettings(options));
      const { resident, staged, cpu } = placement.totals;
      printText(
        `${name}: loaded, ${info.contextLength} tokens of context, ` +
          `${resident.tensors} tensors resident, ${staged.tensors} staged, ${cpu.tensors} on the CPU\n`,
      );
    }),
  );
}

function action(
  name: string,
  description: string,
  run: (board: BoardClient, model: string) => Promise<string>,
): Command {
  return withDevice(new Command(name).description(description))
    .addArgument(new Argument('<model>', 'name or digest'))
    .action((model: string, options: DeviceOptions) =>
      withBoard(options, async (board) => {
        printText(`${await run(board, model)}\n`);
      }),
    );
}
