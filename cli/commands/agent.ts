import { Command, InvalidArgumentError, Option } from 'commander';
import type { AgentFlags, ServedAgent } from '../../agent/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { LinkPlace } from '../../fleet/join.js';
import { accessOf, connectBus, type FleetFlags, withBroker } from '../bus-options.js';
import { httpOnPort } from '../http-on-port.js';
import {
  collect,
  coreTypesOf,
  coreTypesOption,
  decimal,
  exactTypesOption,
  inMs,
  kvMemoryOption,
  kvTypeOption,
  type LoadFlags,
  MIB,
  maxSilentOption,
  threadsOption,
  wholeNumber,
} from '../options.js';

export const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];

/** `agent`: the daemon that serves one device. */
export function agentCommand(): Command {
  const command = new Command('agent')
    .description('Serve a device over WebSocket. Prints its URL when it is ready; Ctrl-C ends it.')
    .addOption(
      new Option(
        '-d, --device <url>',
        'mock:, mock:NAME or mock:FILE.toml; on a board linux:, linux:NAME or linux:FILE.toml',
      )
        .env('PYNQ_LLM_AGENT_DEVICE')
        .default('mock:'),
    )
    .option(
      '--listen <address>',
      'ws://HOST:PORT, wss://HOST:PORT or unix:/PATH; other than loopback needs a token',
      'ws://127.0.0.1:7787',
    )
    .option(
      '--token-file <file>',
      'lines of ROLE TOKEN or ROLE TOKEN NAME; the roles are read, infer and admin',
    )
    .option('--store-dir <dir>', 'where models are kept; $PYNQ_LLM_HOME or the cache folder when left out')
    .option(
      '--allow-origin <origin>',
      'origin of a web page that may connect, or "*" with a token file; repeatable',
      collect,
    )
    .option('--tls-key <file>', 'private key, PEM, for wss:')
    .option('--tls-cert <file>', 'certificate, PEM, for wss:')
    .addOption(kvTypeOption())
    .addOption(kvMemoryOption())
    .option(
      '--kv-spill <dir>',
      'a folder of its own for keys and values of generations that make room for others; computed again when left out',
    )
    .option('--kv-spill-limit <MiB>', 'most that goes there', wholeNumber(1), 1024)
    .option(
      '--client-weight <name=w>',
      'give a token, an address or a client of that name w times the part that those beside it have; repeatable',
      clientWeight,
    )
    .option(
      '--check-cycles',
      'compare after each MatMul how long the core computed with how long that takes; a difference is a fault of the device',
    )
    .addOption(threadsOption('threads that compute beside the device, its own among them'))
    .addOption(coreTypesOption())
    .addOption(exactTypesOption())
    .addOption(maxSilentOption())
    .option('--fleet <url>', "be a board of a fleet: its broker's nats://HOST[:PORT] or tls://HOST[:PORT]")
    .option('--fleet-name <name>', 'what the fleet calls the board; the name of the machine when left out')
    .option(
      '--fleet-lease <ms>',
      'a fleet counts the board as lost when it has not heard of it for so long, 100 to 60000: shorter ends waits sooner, and takes a pause for a death',
      wholeNumber(100, 60_000),
      3_000,
    );
  return withBroker(command, 'fleet')
    .addOption(
      new Option(
        '--links <port>',
        'PORT or HOST:PORT at which boards of the fleet that compute a model together with this one reach it; without it the board opens no port for them, and has no part in models that are cut by rows',
      ).argParser(linkPlace),
    )
    .option('--no-http', 'leave out the OpenAI API, /health and /metrics on the same port')
    .addOption(
      new Option('--log-level <level>', 'the log goes to standard error').choices(LEVELS).default('info'),
    )
    .action(
      async ({
        allowOrigin = [],
        http,
        maxSilent,
        ...flags
      }: Omit<AgentFlags, 'allowOrigin' | 'kv'> &
        ModelFlags &
        MemberFlags & { allowOrigin?: string[]; http: boolean; maxSilent?: number }) => {
        requireFleet(flags);
        const { runAgent } = await import('../../agent/index.js');
        const parts = [
          http ? await httpOnPort(allowOrigin, inMs(maxSilent)) : undefined,
          flags.fleet === undefined ? undefined : await member(flags.fleet, flags),
        ].filter((part) => part !== undefined);
        await runAgent(
          { ...flags, coreTypes: coreTypesOf(flags), kv: kvSettings(flags), allowOrigin },
          (agent) => {
            const started = parts.map((part) => part(agent));
            return {
              [Symbol.dispose]: () => {
                for (const part of started) part[Symbol.dispose]();
              },
            };
          },
        );
      },
    );
}

interface MemberFlags extends FleetFlags {
  readonly fleet?: string;
  readonly fleetName?: string;
  readonly fleetLease: number;
  readonly links?: LinkPlace;
}

/** @throws PynqLlmError CLI_BAD_ARGUMENT where flags of a board of a fleet are given, and no fleet */
function requireFleet(flags: MemberFlags): void {
  if (flags.fleet !== undefined) return;
  const { links, fleetName, fleetCreds, fleetCa, fleetFingerprint } = flags;
  const given = Object.entries({
    '--links': links,
    '--fleet-name': fleetName,
    '--fleet-creds': fleetCreds,
    '--fleet-ca': fleetCa,
    '--fleet-fingerprint': fleetFingerprint,
  }).find(([, value]) => value !== undefined);
  if (given !== undefined)
    throw new PynqLlmError(
      'CLI_BAD_ARGUMENT',
      `${given[0]} is for a board of a fleet: --fleet says of which.`,
    );
}

/** What makes the agent a board of a fleet. @throws PynqLlmError FLEET_BOARD_NAME */
async function member(url: string, flags: MemberFlags): Promise<(agent: ServedAgent) => Disposable> {
  const { BOARDS_API, boardName, joinFleet } = await import('../../fleet/join.js');
  const name = boardName(flags.fleetName);
  const access = accessOf(flags);
  // A key that the broker knows is of one board.
  const soleName = access.credentials !== undefined;
  const leaseMs = flags.fleetLease;
  const links = flags.links && { place: flags.links, broker: brokerOf(url) };
  return (agent) =>
    joinFleet({
      bus: connectBus(url, name, access, soleName ? BOARDS_API : undefined),
      agent,
      name,
      log: agent.log,
      soleName,
      leaseMs,
      links,
    });
}

/** The machine that boards reach each other beside. */
function brokerOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '');
}

/** @throws InvalidArgumentError */
function linkPlace(text: string): LinkPlace {
  const [, bracketed, host = bracketed, port] = /^(?:(?:\[([^\]]+)\]|([^:]+)):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535)
    throw new InvalidArgumentError('It must be a port, or an address and a port, such as 192.168.2.99:4300.');
  return { host, port: Number(port) };
}

function clientWeight(
  text: string,
  before: ReadonlyMap<string, number> = new Map(),
): ReadonlyMap<string, number> {
  const match = /^(.+)=([^=]+)$/.exec(text);
  if (!match)
    throw new InvalidArgumentError('It must be the name of a client and a number, such as night=0.5.');
  return new Map([...before, [match[1]!, decimal(0.001, 1_000)(match[2]!)]]);
}

interface ModelFlags extends Pick<LoadFlags, 'kvType' | 'kvMemory' | 'exactTypes'> {
  readonly kvSpill?: string;
  readonly kvSpillLimit: number;
}

function kvSettings({ kvType, kvMemory, kvSpill, kvSpillLimit }: ModelFlags): AgentFlags['kv'] {
  return {
    type: kvType,
    bytes: kvMemory === undefined ? undefined : kvMemory * MIB,
    spill: kvSpill === undefined ? undefined : { folder: kvSpill, maxBytes: kvSpillLimit * MIB },
  };
}
