import { type Command, InvalidArgumentError, Option } from 'commander';
import { PynqLlmError } from '../../errors/index.js';

const DEFAULT_DEVICE = 'mock:';
const NO_DEVICES: readonly string[] = [];
const DEVICE =
  'mock:, mock:kv260, mock:v1, mock:FILE.toml, ws://host:port, wss://…, several of these with commas for the gateways of a fleet, unix:/path, ssh://user@host, or the name of a board';

/** Options of every command that talks to a device. */
export interface DeviceOptions {
  readonly device: string;
  readonly token?: string | undefined;
  readonly tlsFingerprint?: string | undefined;
  readonly threads?: number | undefined;
}

/** Options of commands that work on several boards. */
export interface DevicesOptions extends Omit<DeviceOptions, 'device'> {
  readonly device: readonly string[];
  readonly all?: boolean;
}

/** A board that a command works on, and what it is called in its output. */
export interface ChosenBoard extends DeviceOptions {
  readonly name: string;
}

/** `--device` of a command that works on one board. A name becomes its URL before the command runs. */
export function withOneDevice(command: Command): Command {
  const once = (url: string, before: string) => {
    if (before !== DEFAULT_DEVICE) throw new InvalidArgumentError('This command works on one board.');
    return url;
  };
  return command
    .addOption(
      new Option('-d, --device <url>', DEVICE).env('PYNQ_LLM_DEVICE').default(DEFAULT_DEVICE).argParser(once),
    )
    .hook('preAction', async (_, action) => {
      const options: DeviceOptions = action.opts();
      const board = await chosenBoard(options.device, options, action);
      action.setOptionValue('device', board.device);
      action.setOptionValue('token', board.token);
      action.setOptionValue('tlsFingerprint', board.tlsFingerprint);
    });
}

/** `--device`, repeated, and `--all`. */
export function withSeveralDevices(command: Command): Command {
  const collect = (url: string, before: readonly string[]) => [...before, url];
  return command
    .addOption(
      new Option('-d, --device <url>', `${DEVICE}; again for several boards`)
        .env('PYNQ_LLM_DEVICE')
        .default(NO_DEVICES, DEFAULT_DEVICE)
        .argParser(collect),
    )
    .option('--all', 'all boards of boards.toml (see `boards`)');
}

/** Whether the output is that of several boards. */
export function isSeveral({ device, all }: DevicesOptions): boolean {
  return all === true || device.length > 1;
}

/**
 * The boards that were chosen, each once, in their order.
 * @throws PynqLlmError CLI_BOARDS_FILE, CLI_BOARD_UNKNOWN, CLI_BAD_ARGUMENT where --all finds none
 */
export async function chosenBoards(options: DevicesOptions, command: Command): Promise<ChosenBoard[]> {
  const { device, all } = options;
  if (all !== true) {
    const named = device.length === 0 ? [DEFAULT_DEVICE] : [...new Set(device)];
    return Promise.all(named.map((text) => chosenBoard(text, options, command)));
  }
  if (device.length > 0 && command.getOptionValueSource('device') === 'cli')
    throw new PynqLlmError('CLI_BAD_ARGUMENT', 'Either --all or --device says which boards.');
  const { boardsFile, readBoards } = await import('./file.js');
  const boards = readBoards();
  if (boards.length === 0)
    throw new PynqLlmError('CLI_BAD_ARGUMENT', `${boardsFile()} has no boards.`, {
      remedy: 'Add them: pynq-llm boards add NAME URL',
    });
  return Promise.all(boards.map(({ name }) => chosenBoard(name, options, command)));
}

/**
 * A URL or a name. What a name's entry says comes before variables of the environment, and after flags.
 * @throws PynqLlmError CLI_BOARDS_FILE, CLI_BOARD_UNKNOWN
 */
export async function chosenBoard(
  text: string,
  options: Omit<DeviceOptions, 'device'>,
  command: Command,
): Promise<ChosenBoard> {
  const { isUrl, readBoards, unknownBoard } = await import('./file.js');
  const { token, tlsFingerprint, threads } = options;
  if (isUrl(text)) return { name: text, device: text, token, tlsFingerprint, threads };
  const boards = readBoards();
  const board = boards.find(({ name }) => name === text);
  if (board === undefined) throw unknownBoard(text, boards);
  const isFlag = (option: string) => command.getOptionValueSource(option) === 'cli';
  return {
    name: text,
    device: board.url,
    token: isFlag('token') ? token : (board.token ?? token),
    tlsFingerprint: isFlag('tlsFingerprint') ? tlsFingerprint : (board.tlsFingerprint ?? tlsFingerprint),
    threads,
  };
}
