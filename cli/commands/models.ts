import { Argument, Command } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import type { BoardClient, StoredModel } from '../../sdk/index.js';
import { type ChosenBoard, chosenBoards, isSeveral } from '../boards/devices.js';
import { eachBoard, onBoard, onBoards, outcomesByName } from '../boards/several.js';
import {
  type DevicesOptions,
  type LoadFlags,
  loadSettings,
  withDevices,
  withJson,
  withLoad,
} from '../options.js';
import { printText } from '../output/print.js';
import { type Column, formatTable } from '../output/table.js';
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
  withJson(withDevices(list), 'a JSON list; of several boards one object of lists by their names');
  list.action(
    async (misspelt: string | undefined, options: DevicesOptions & { json?: boolean }, self: Command) => {
      if (misspelt !== undefined)
        throw new PynqLlmError('CLI_BAD_ARGUMENT', `\`models\` has no subcommand "${misspelt}".`);
      const boards = await chosenBoards(options, self);
      if (isSeveral(options)) return listSeveral(boards, options.json === true);
      const models = await withBoard(boards[0]!, (board) => board.models.list());
      if (options.json) return printText(`${harmlessJson(models)}\n`);
      const table = formatTable(COLUMNS, models.map(modelCells));
      printText(models.length === 0 ? 'no models; put one there with: pynq-llm upload FILE\n' : `${table}\n`);
    },
  );
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
  withJson(
    withDevices(withLoad(command)),
    'one JSON object {"assumed","memory"}; of several boards one object of them by their names',
  );
  return command.action(
    async (name: string, options: DevicesOptions & LoadFlags & { json?: boolean }, self: Command) => {
      const boards = await chosenBoards(options, self);
      const check = (board: BoardClient) => board.models.check(name, loadSettings(options));
      if (options.json && !isSeveral(options))
        return printText(`${harmlessJson(await withBoard(boards[0]!, check))}\n`);
      if (options.json)
        return printText(
          `${harmlessJson(outcomesByName(await onBoards(boards, (board, signal) => onBoard(board, signal, check))))}\n`,
        );
      return eachBoard(boards, isSeveral(options), async (board) =>
        describeCheck(await check(board), board.info.description.name),
      );
    },
  );
}

function describeCheck(
  { assumed, memory }: Awaited<ReturnType<BoardClient['models']['check']>>,
  board: string,
): string {
  const { contextLength, kvTokens, table } = memory;
  const room = `a context of ${contextLength} tokens, keys and values of ${kvTokens} for one sequence`;
  return `${describeVerdict({ ok: true, board }, assumed)}\n\n${table}\n\n${room}`;
}

/** A list is short: a board that hangs must not keep those of the others for longer. */
const LIST_MS = 10_000;

const COLUMNS: readonly Column[] = [
  { heading: 'name' },
  { heading: 'size', right: true },
  { heading: 'state' },
  { heading: 'digest' },
];

function modelCells({ names, bytes, state, digest }: StoredModel): string[] {
  return [names.join(', ') || '-', formatBytes(bytes), state, digest];
}

async function listSeveral(boards: readonly ChosenBoard[], json: boolean): Promise<void> {
  const outcomes = await onBoards(boards, (board, signal) =>
    onBoard(board, signal, (client) => client.models.list(), LIST_MS),
  );
  if (json) return printText(`${harmlessJson(outcomesByName(outcomes))}\n`);
  const rows = outcomes.flatMap((outcome) => {
    const { name } = outcome.board;
    if (!('value' in outcome)) return [[name, 'no answer']];
    return outcome.value.length === 0
      ? [[name, '-']]
      : outcome.value.map((model) => [name, ...modelCells(model)]);
  });
  printText(`${formatTable([{ heading: 'board' }, ...COLUMNS], rows)}\n`);
}

function loadCommand(): Command {
  const command = new Command('load')
    .description('Load a model into the device.')
    .addArgument(new Argument('<model>', 'name or digest'));
  return withDevices(withLoad(command)).action(
    async (name: string, options: DevicesOptions & LoadFlags, self: Command) =>
      eachBoard(await chosenBoards(options, self), isSeveral(options), async (board, signal, lines) => {
        const progress = lines?.stream;
        const settings = loadSettings(options);
        const { info, placement } = await loadModel(board, name, name, signal, settings, progress);
        const { resident, staged, cpu } = placement.totals;
        return (
          `${name}: loaded, ${info.contextLength} tokens of context, ` +
          `${resident.tensors} tensors resident, ${staged.tensors} staged, ${cpu.tensors} on the CPU`
        );
      }),
  );
}

function action(
  name: string,
  description: string,
  run: (board: BoardClient, model: string) => Promise<string>,
): Command {
  return withDevices(new Command(name).description(description))
    .addArgument(new Argument('<model>', 'name or digest'))
    .action(async (model: string, options: DevicesOptions, self: Command) =>
      eachBoard(await chosenBoards(options, self), isSeveral(options), (board) => run(board, model)),
    );
}
