import { Argument, Command, Option } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import { withJson } from '../options.js';
import { noteText, printText } from '../output/print.js';
import { formatTable } from '../output/table.js';
import { withInterrupt } from '../session.js';

/** `boards`: names for boards, and which of them answer. */
export function boardsCommand(): Command {
  const command = new Command('boards').description(
    'Names for boards, in boards.toml: list, add, remove them, or find those that were provisioned from here. ' +
      'A name goes wherever a device URL does.',
  );
  const list = new Command('list').description('List the boards, and whether their agents answer.');
  // `boards` alone lists, so that commander takes a misspelt subcommand for an argument of `list`.
  list.addArgument(new Argument('[subcommand]').default(undefined, '')).usage('[options]');
  list.option('--no-reach', 'do not ask the boards');
  withJson(list, 'a JSON list');
  list.action(async (misspelt: string | undefined, options: { reach: boolean; json?: boolean }) => {
    if (misspelt !== undefined)
      throw new PynqLlmError('CLI_BAD_ARGUMENT', `\`boards\` has no subcommand "${misspelt}".`);
    await listBoards(options);
  });
  command.addCommand(list, { isDefault: true });
  command.addCommand(addCommand());
  command.addCommand(
    new Command('remove')
      .description('Take a name away; the board itself is not touched.')
      .argument('<name>')
      .action(async (name: string) => {
        const { removeBoard } = await import('../boards/file.js');
        removeBoard(name);
        printText(`${name}: removed\n`);
      }),
  );
  command.addCommand(scanCommand());
  return command;
}

async function listBoards({ reach, json }: { reach: boolean; json?: boolean }): Promise<void> {
  const { boardsFile, readBoards } = await import('../boards/file.js');
  const { reachBoard } = await import('../boards/reach.js');
  const boards = readBoards();
  const states = await withInterrupt((signal) =>
    Promise.all(
      boards.map(({ name, url, token, tlsFingerprint }) =>
        reach ? reachBoard({ name, device: url, token, tlsFingerprint }, signal) : undefined,
      ),
    ),
  );
  if (json) {
    // Tokens are for agents alone.
    const shown = boards.map(({ name, url, token }, i) => ({
      name,
      url,
      hasToken: token !== undefined,
      ...states[i],
    }));
    return printText(`${harmlessJson(shown)}\n`);
  }
  if (boards.length === 0)
    return printText(`${boardsFile()} has no boards; add one: pynq-llm boards add NAME URL\n`);
  const rows = boards.map(({ name, url }, i) => [name, url, states[i]?.state ?? '-']);
  printText(`${formatTable([{ heading: 'name' }, { heading: 'url' }, { heading: 'agent' }], rows)}\n`);
}

function addCommand(): Command {
  return new Command('add')
    .description('Give a board a name.')
    .argument('<name>', 'letters, digits and _.-')
    .argument('<url>', 'as --device takes it')
    .addOption(
      new Option('--token <token>', 'its access token; the file is then for its owner alone').env(
        'PYNQ_LLM_TOKEN',
      ),
    )
    .option('--tls-fingerprint <sha256>', "the SHA-256 of a wss:// agent's certificate")
    .action(async (name: string, url: string, options: { token?: string; tlsFingerprint?: string }) => {
      const { addBoard, boardsFile } = await import('../boards/file.js');
      addBoard({ name, url, ...options });
      printText(`${name}: ${url}, in ${boardsFile()}\n`);
    });
}

function scanCommand(): Command {
  const command = new Command('scan')
    .description(
      'Find boards: those that `provision` has made ready from this computer, at the addresses they had; serial ports ' +
        'that look like a board; an agent of this computer. No network is searched.',
    )
    .option('--add', 'give those that answer their host names, where they have no name yet');
  return withJson(command, 'a JSON list').action(async (options: { add?: boolean; json?: boolean }) => {
    const { addBoard, readBoards } = await import('../boards/file.js');
    const { scan } = await import('../boards/scan.js');
    const named = readBoards();
    const found = await withInterrupt((signal) => scan(named, signal));
    if (options.json) printText(`${harmlessJson(found)}\n`);
    else if (found.length === 0)
      printText('nothing: no board was provisioned from here, and no serial port looks like one\n');
    else {
      const rows = found.map(({ name, how, url, state, known }) => [known ?? name, how, url ?? '-', state]);
      const headings = ['board', 'how', 'url', 'state'].map((heading) => ({ heading }));
      printText(`${formatTable(headings, rows)}\n`);
    }
    if (!options.add) return;
    const taken = new Set(named.map(({ name }) => name));
    for (const { name, url, answers, known } of found) {
      if (!answers || known !== undefined || url === undefined || taken.has(name)) continue;
      addBoard({ name, url });
      taken.add(name);
      noteText(`${name}: added\n`);
    }
  });
}
