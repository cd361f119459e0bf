import { Argument, Command } from 'commander';
import { type DeviceOptions, withDevice, withJson } from '../options.js';
import { formatTable } from '../output/table.js';
import { formatBytes } from '../output/units.js';
import { withBoard } from '../session.js';

/** `models` and its subcommands: what the board stores and has loaded. */
export function modelsCommand(): Command {
  const command = new Command('models').description(
    'List the models on the board; load, unload or delete one.',
  );
  const list = new Command('list').description('List the models on the board.');
  withJson(withDevice(list), 'a JSON list');
  list.action(async (options: DeviceOptions & { json?: boolean }) => {
    const models = await withBoard(options, (board) => board.models.list());
    if (options.json) return void process.stdout.write(`${JSON.stringify(models)}\n`);
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
    process.stdout.write(
      models.length === 0 ? 'no models; put one there with: pynq-llm upload FILE\n' : `${table}\n`,
    );
  });
  command.addCommand(list, { isDefault: true });
  command.addCommand(
    action('load', 'Load a model into the device.', async (options, model) =>
      withBoard(options, async (board) => void (await board.models.load(model))),
    ),
  );
  command.addCommand(
    action('unload', 'Free the memory of a loaded model.', (options, model) =>
      withBoard(options, (board) => board.models.unload(model)),
    ),
  );
  command.addCommand(
    action('delete', 'Delete a model from the board.', (options, model) =>
      withBoard(options, (board) => board.models.delete(model)),
    ),
  );
  return command;
}

function action(
  name: string,
  description: string,
  run: (options: DeviceOptions, model: string) => Promise<void>,
): Command {
  return withDevice(new Command(name).description(description))
    .addArgument(new Argument('<model>', 'name or digest'))
    .action((model: string, options: DeviceOptions) => run(options, model));
}
