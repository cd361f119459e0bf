import { Command, InvalidArgumentError, Option } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import type { Deployer, DeployOptions, DeployStep, SshOptions } from '../../sdk/index.js';
import type { ChosenBoard } from '../boards/devices.js';
import { nameWidth, onBoards, outcomesByName, PrefixedLines } from '../boards/several.js';
import { USERS_FILE } from '../broker-users.js';
import { readFile } from '../files.js';
import { enrolHow, type FleetDeployFlags, fleetOf } from '../fleet-deploy.js';
import { wholeNumber, withJson } from '../options.js';
import { noteText, printText } from '../output/print.js';
import { Progress } from '../output/progress.js';
import { formatFacts, formatTable } from '../output/table.js';
import { formatBytes } from '../output/units.js';
import { packageFile } from '../package-files.js';
import { passwordFromStdin } from '../secret.js';
import { withInterrupt } from '../session.js';
import { terminalPrompts } from '../terminal-prompts.js';

interface DeployFlags extends FleetDeployFlags {
  readonly all?: boolean;
  readonly board?: string;
  readonly bitstream?: string;
  readonly overlay?: string;
  readonly clock?: number;
  readonly agentDevice?: string;
  readonly allowDevMem?: boolean;
  readonly yes?: boolean;
  readonly hostKey?: string;
  readonly passwordStdin?: boolean;
  readonly deadline: number;
  readonly list?: boolean;
  readonly rollback?: boolean;
  readonly remove?: string | true;
  readonly node?: string;
  readonly sha256?: string;
  readonly withoutSystemd?: string;
  readonly json?: boolean;
}

/** `deploy`: puts the agent on a board over SSH. */
export function deployCommand(): Command {
  const command = new Command('deploy')
    .description(
      'Put the agent on a board over SSH, make it a service, and see that it works; then: --device ssh://BOARD. ' +
        'The release before comes back if the new one fails. The board needs no internet.',
    )
    .argument(
      '[boards...]',
      'USER@HOST, USER@HOST:PORT (~/.ssh/config is followed) or the name of a board; several at once',
    )
    .option('--all', 'all boards of boards.toml')
    .option(
      '--board <name>',
      'pynq-z1, pynq-z2, kv260, kv260-2026-v3, kv260-2026-v4, or a .toml file: which board it is; kept by later deploys',
    )
    .option(
      '--bitstream <file>',
      'a .bit or .bin that is programmed before every start of the agent; with --board',
    )
    .option('--overlay <file>', 'a .dtbo, applied after the bitstream; with --bitstream')
    .option(
      '--clock <MHz>',
      'run the core slower than its design allows, such as 187.5 or 100; with --bitstream',
      megahertz,
    )
    .option('--agent-device <url>', "device that the agent serves; the board's own accelerator when left out")
    .option('--allow-dev-mem', 'let the agent open /dev/mem: all memory of the board, its kernel included')
    .option(
      '--node <file>',
      "an archive of nodejs.org for the board, node-v…-linux-armv7l.tar.gz, with its SHASUMS256.txt beside it; npm for npm's own",
    )
    .option(
      '--sha256 <hex>',
      'what the archive has to be, where there is no SHASUMS256.txt; with --node',
      sha256,
    )
    .option('--host-key <fingerprint>', 'SHA256:…, what the host key has to be', hostKey)
    .option('--password-stdin', 'read the password, for the login and for sudo, from standard input')
    .option('-y, --yes', 'ask nothing; a host key seen for the first time needs --host-key')
    .option(
      '--deadline <seconds>',
      'time in which the new agent has to pass its checks',
      wholeNumber(10, 3_600),
      180,
    )
    .option('--list', 'list the releases on the board')
    .option('--rollback', 'activate the release before the active one')
    .option(
      '--remove [release]',
      'remove a release, named by its first digits; without one: the agent and all releases',
    )
    .option(
      '--without-systemd <folder>',
      'on the board: the agent is a process of the user who logs in, below this folder, and nothing starts it at boot',
      folder,
    )
    .option(
      '--fleet <url>',
      'make it a board of the fleet whose broker it reaches at nats://HOST[:PORT] or tls://HOST[:PORT]: its key is made there and stays there; kept by later deploys',
    )
    .option('--no-fleet', 'make it a board of no fleet')
    .option(
      '--fleet-name <name>',
      'what the fleet calls it; its name in boards.toml or ~/.ssh/config when left out',
    )
    .option('--fleet-fingerprint <sha256>', 'the one certificate that the broker may show')
    .option(
      '--fleet-users <file>',
      `where the broker runs on this machine: the list that its configuration includes, such as ${USERS_FILE}`,
    )
    .option(
      '--fleet-pid-file <file>',
      "the broker's pid_file, where systemd does not run it; with --fleet-users",
    )
    .addOption(
      new Option(
        '--fleet-broker <user@host>',
        'where the broker runs elsewhere: `pynq-llm fleet enrol` is run there over SSH',
      ).conflicts('fleetUsers'),
    );
  withJson(command, 'one JSON object, with --list a list; of several boards by their names');
  return command.action(async (places: string[], flags: DeployFlags) => {
    checkFlags(flags);
    const boards = await deployBoards(places, flags);
    if (boards.length > 1 && flags.fleetName !== undefined)
      throw new PynqLlmError(
        'CLI_BAD_ARGUMENT',
        'Boards of a fleet have a name each: leave out --fleet-name.',
      );
    const common: Common = {
      flags,
      design: designOf(flags),
      password: flags.passwordStdin ? passwordFromStdin() : undefined,
    };
    if (boards.length === 1 && !flags.all) {
      await withInterrupt(async (signal) => {
        const { data, text } = await deployTo(boards[0]!, common, signal);
        printText(`${flags.json ? harmlessJson(data) : text}\n`);
      });
      return;
    }
    const width = nameWidth(boards);
    const outcomes = await onBoards(boards, async (board, signal) => {
      const { data, text } = await deployTo(
        board,
        common,
        signal,
        new PrefixedLines(board.name, width, true),
      );
      if (!flags.json) new PrefixedLines(board.name, width).write(`${text}\n`);
      return data;
    });
    if (flags.json) printText(`${harmlessJson(outcomesByName(outcomes))}\n`);
  });
}

/** What is the same for all boards. */
interface Common {
  readonly flags: DeployFlags;
  readonly design: DeployOptions['design'];
  readonly password: string | undefined;
}

/** Names of boards.toml, and other places as they are: a name may also be a Host of ~/.ssh/config. */
async function deployBoards(places: readonly string[], { all }: DeployFlags): Promise<ChosenBoard[]> {
  const { readBoards } = await import('../boards/file.js');
  if ((places.length === 0) !== (all === true))
    throw new PynqLlmError('CLI_BAD_ARGUMENT', 'Name the boards to deploy to, or give --all.');
  const named = readBoards();
  const board = (place: string) => ({
    name: place,
    device: named.find(({ name }) => name === place)?.url ?? place,
  });
  if (all !== true) return [...new Set(places)].map(board);
  const reached = named.filter(({ url }) => url.startsWith('ssh://'));
  if (reached.length === 0)
    throw new PynqLlmError('CLI_BAD_ARGUMENT', 'No board of boards.toml is reached by ssh://.');
  return reached.map(({ name, url }) => ({ name, device: url }));
}

/** @param lines where progress goes, of several boards */
async function deployTo(
  { name, device }: ChosenBoard,
  { flags, design, password }: Common,
  signal: AbortSignal,
  lines?: PrefixedLines,
): Promise<Outcome> {
  const { Deployer, formatTarget, openSsh, parseSshTarget } = await import('../../sdk/index.js');
  const prompts = flags.yes ? undefined : terminalPrompts(lines && name);
  // The place of the agent in a device URL is for its clients.
  const target = parseSshTarget(device.replace(/^(ssh:\/\/[^/?]+).*$/, '$1'));
  const login: SshOptions = { prompts, password, hostKey: flags.hostKey, signal };
  await using connection = await openSsh(target, login);
  const deployer = await Deployer.open(connection, {
    prompts,
    password: password ?? connection.password,
    withoutSystemd: flags.withoutSystemd,
  });
  using progress = new DeployDisplay(lines);
  const options: DeployOptions = {
    device: flags.agentDevice,
    design,
    node: nodeOf(flags),
    allowDevMem: flags.allowDevMem,
    fleet: fleetOf(flags, name, login),
    vectors: packageFile('vectors'),
    healthMs: flags.deadline * 1000,
    onStep: (event) => progress.show(event),
    signal,
  };
  const path = flags.withoutSystemd === undefined ? '' : deployer.socket;
  const result = await run(deployer, flags, options, `ssh://${formatTarget(target)}${path}`);
  progress.end();
  return result;
}

function designOf({ board, bitstream, overlay, clock }: DeployFlags): DeployOptions['design'] {
  const needsBitstream = overlay !== undefined || clock !== undefined;
  if ((bitstream !== undefined && board === undefined) || (needsBitstream && bitstream === undefined))
    throw new PynqLlmError(
      'CLI_BAD_ARGUMENT',
      'A bitstream needs --board, and an overlay or a clock needs --bitstream.',
    );
  if (board === undefined) return undefined;
  const read = (path: string | undefined) => (path === undefined ? undefined : readFile(path));
  return { board, bitstream: read(bitstream), overlay: read(overlay), clockHz: clock };
}

function nodeOf({ node, sha256 }: DeployFlags): DeployOptions['node'] {
  if (sha256 !== undefined && (node === undefined || node === 'npm'))
    throw new PynqLlmError('CLI_BAD_ARGUMENT', 'A digest (--sha256) is of an archive: --node FILE.');
  return node === undefined || node === 'npm' ? node : { path: node, sha256 };
}

function checkFlags({
  list,
  rollback,
  remove,
  fleet,
  fleetName,
  fleetUsers,
  fleetBroker,
}: DeployFlags): void {
  if ([list, rollback, remove !== undefined].filter(Boolean).length > 1)
    throw new PynqLlmError('CLI_BAD_ARGUMENT', 'Of --list, --rollback and --remove only one can be given.');
  if (!fleet && (fleetName ?? fleetUsers ?? fleetBroker) !== undefined)
    throw new PynqLlmError('CLI_BAD_ARGUMENT', 'What is said of a fleet needs its broker: --fleet URL.');
}

interface Outcome {
  readonly data: unknown;
  readonly text: string;
}

async function run(
  deployer: Deployer,
  flags: DeployFlags,
  options: DeployOptions,
  url: string,
): Promise<Outcome> {
  if (flags.list) return list(deployer);
  if (flags.rollback) {
    const { digest, version } = await deployer.rollback(options);
    return { data: { release: digest, version }, text: `${digest.slice(0, 12)} (${version}) runs again` };
  }
  if (flags.remove === true) {
    await deployer.uninstall();
    return {
      data: { removed: 'all' },
      text: 'the agent and its releases are removed; models and tokens stay',
    };
  }
  if (flags.remove !== undefined) {
    const { digest } = await deployer.remove(flags.remove);
    return { data: { removed: digest }, text: `${digest.slice(0, 12)} is removed` };
  }
  const result = await deployer.deploy(options);
  const { release, version, unchanged, sentBytes, selfTestChecks } = result;
  const facts = formatFacts([
    ['release', `${release.slice(0, 12)} (${version})`],
    ['state', unchanged ? 'ran already: nothing was changed' : `active, ${formatBytes(sentBytes)} were sent`],
    ['self-test', `${selfTestChecks} checks passed`],
    ['use', `--device ${url}`],
    ...(result.fleetKey === undefined || !options.fleet
      ? []
      : [['fleet', enrolHow(flags, options.fleet, result.fleetKey)] as const]),
  ]);
  return { data: { ...result, url }, text: facts };
}

async function list(deployer: Deployer): Promise<Outcome> {
  const releases = await deployer.list();
  const rows = releases.map(({ digest, version, node, active, running, previous }) => [
    digest.slice(0, 12),
    version,
    node,
    [active && 'active', running && 'running', previous && 'previous'].filter(Boolean).join(', '),
  ]);
  const headings = ['release', 'version', 'node', 'state'].map((heading) => ({ heading }));
  return { data: releases, text: rows.length === 0 ? 'no releases' : formatTable(headings, rows) };
}

function sha256(text: string): string {
  if (!/^[0-9a-fA-F]{64}$/.test(text)) throw new InvalidArgumentError('It must be 64 hexadecimal digits.');
  return text;
}

function hostKey(text: string): string {
  if (!/^SHA256:[A-Za-z0-9+/]{43}$/.test(text))
    throw new InvalidArgumentError('It must be SHA256: and 43 characters, as ssh-keygen -l prints it.');
  return text;
}

/** @returns Hz */
function megahertz(text: string): number {
  if (!/^\d{1,3}(\.\d{1,6})?$/.test(text)) throw new InvalidArgumentError('It must be a frequency in MHz.');
  return Math.round(Number(text) * 1e6);
}

/** Room for `/run/agent.sock` within the kernel's limit of a socket's path. */
const MAX_FOLDER_LENGTH = 90;

function folder(text: string): string {
  const path = text.replace(/\/+$/, '');
  if (!/^(\/[\w@.+-]+)+$/.test(path) || path.length > MAX_FOLDER_LENGTH)
    throw new InvalidArgumentError(
      `It must be an absolute path of at most ${MAX_FOLDER_LENGTH} letters, digits and _@.+-.`,
    );
  return path;
}

const STEPS: Readonly<Record<string, string>> = {
  fetch: 'put the release together',
  assemble: 'check what arrived',
  enrol: 'have the board make its key of the fleet',
  activate: 'activate the release',
  verify: 'wait for the agent and test it',
  revert: 'bring the release before back',
};

/** Says on standard error what a deploy does. */
class DeployDisplay implements Disposable {
  readonly #sending: Progress;
  readonly #note: (text: string) => void;
  #step = '';

  /** @param lines where it says so, of several boards */
  constructor(lines: PrefixedLines | undefined) {
    this.#sending = new Progress('send', undefined, lines?.stream);
    this.#note = lines === undefined ? noteText : (text) => lines.write(text);
  }

  show(event: DeployStep): void {
    if (event.step === 'send') return void this.#sending.update(event.bytes, event.totalBytes);
    if (event.step === 'check') {
      const { name, verdict, found, fix } = event.check;
      this.#note(`${verdict.padEnd(4)}  ${name}: ${found}${fix === '' ? '' : `. ${fix}`}\n`);
      return;
    }
    if (event.step === this.#step) return;
    this.#step = event.step;
    this.#sending.finish();
    this.#note(`${STEPS[event.step]} …\n`);
  }

  end(): void {
    this.#sending.finish();
  }

  [Symbol.dispose](): void {
    this.#sending[Symbol.dispose]();
  }
}
