import { Command, InvalidArgumentError, Option } from 'commander';
import type { AgentHandle, DaemonFlags, ListenOptions } from '../../agent/index.js';
import { harmlessJson, isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { PipelineMode, TensorMode } from '../../fleet/index.js';
import type { LoadSettings } from '../../sdk/index.js';
import { accessOf, type BusFlags, connectBus, withBroker } from '../bus-options.js';
import { httpOnPort } from '../http-on-port.js';
import {
  collect,
  type DeviceOptions,
  inMs,
  type LoadFlags,
  loadSettings,
  maxSilentOption,
  threadsOption,
  wholeNumber,
  withDevice,
  withJson,
  withLoad,
} from '../options.js';
import { printText } from '../output/print.js';
import { formatTable } from '../output/table.js';
import { openModel, withBoard, withInterrupt } from '../session.js';
import { LEVELS } from './agent.js';
import { fleetAdviseCommand } from './fleet-advise.js';
import { fleetDrainCommand } from './fleet-drain.js';
import { fleetEnrolCommand, fleetKeyCommand } from './fleet-enrol.js';
import { fleetPlanCommand } from './fleet-plan.js';
import { fleetTopCommand } from './fleet-top.js';
import { fleetVerifyCommand } from './fleet-verify.js';

/** `fleet`: several boards as one. */
export function fleetCommand(): Command {
  return new Command('fleet')
    .description('Serve several boards as one, and look at them.')
    .addCommand(upCommand())
    .addCommand(serveCommand())
    .addCommand(statusCommand())
    .addCommand(fleetTopCommand())
    .addCommand(fleetDrainCommand())
    .addCommand(fleetVerifyCommand())
    .addCommand(fleetKeyCommand())
    .addCommand(fleetEnrolCommand())
    .addCommand(fleetPlanCommand())
    .addCommand(fleetAdviseCommand());
}

interface GatewayFlags extends LoadFlags, Omit<DaemonFlags, 'listen' | 'allowOrigin'> {
  readonly host: string;
  readonly port: number;
  readonly model?: readonly string[];
  readonly storeDir?: string;
  readonly allowOrigin?: readonly string[];
  readonly maxSilent?: number;
  readonly pipeline?: PipelineMode;
  readonly tensor?: number;
  readonly forceTensor?: boolean;
}

/** Flags of what listens for a fleet's clients. */
function withGateway(command: Command): Command {
  const listening = command
    .option('--host <address>', 'where to listen; other than loopback needs --token-file', '127.0.0.1')
    .option('--port <n>', 'port; 0 for any free one', wholeNumber(0, 65_535), 8080)
    .option('-m, --model <model>', 'a file to upload or a model to load at the start; repeatable', collect)
    .option(
      '--token-file <file>',
      'lines of ROLE TOKEN or ROLE TOKEN NAME; the roles are read, infer and admin',
    )
    .option('--tls-key <file>', 'private key, PEM, for wss: and https:')
    .option('--tls-cert <file>', 'certificate, PEM, for wss: and https:')
    .option('--store-dir <dir>', 'where models are kept; $PYNQ_LLM_HOME or the cache folder when left out')
    .option(
      '--allow-origin <origin>',
      'origin of a web page that may connect, or "*" with a token file; repeatable',
      collect,
    )
    .addOption(
      new Option(
        '--pipeline <n>',
        'cut models by layers, each over so many boards, in as many pipelines side by side as there are boards for; auto: only over as many as it needs to fit',
      ).argParser(pipelineMode),
    )
    .addOption(
      new Option(
        '--tensor <n>',
        'cut models by rows of every matrix, each over so many boards that have links with each other, for one stream; refused where the round trip that they measure does not let it pay',
      )
        .argParser(wholeNumber(2, 8))
        .conflicts('pipeline'),
    )
    .option(
      '--force-tensor',
      'cut by rows also where one board alone would be faster, as where links are tried',
    )
    .addOption(maxSilentOption())
    .addOption(
      new Option('--log-level <level>', 'the log goes to standard error').choices(LEVELS).default('info'),
    );
  return withLoad(listening);
}

/** Serves a gateway on one port to the SDK and to clients of the OpenAI API, with the models of the flags loaded. */
async function serveGateway(
  flags: GatewayFlags,
  start: (listening: ListenOptions) => Promise<AgentHandle>,
): Promise<void> {
  const { host, port, model = [], allowOrigin = [] } = flags;
  const { runDaemon } = await import('../../agent/index.js');
  await runDaemon(
    { ...flags, listen: `${host.includes(':') ? `[${host}]` : host}:${port}`, allowOrigin },
    async (listening) => {
      const fleet = await start(listening);
      try {
        await loadAtStart(fleet, model, loadSettings(flags));
        return fleet;
      } catch (error) {
        await fleet.close();
        throw error;
      }
    },
    await httpOnPort(allowOrigin, inMs(flags.maxSilent)),
  );
}

/** Has the fleet load models; a standby does so when it has taken the lead, in case nobody did before. */
async function loadAtStart(
  fleet: AgentHandle,
  models: readonly string[],
  settings: LoadSettings,
): Promise<void> {
  if (models.length === 0) return;
  const { openBoard } = await import('../../sdk/open-board.js');
  const load = async (signal: AbortSignal) => {
    await using board = await openBoard(async (events) => fleet.connect(events), {}, 0);
    for (const one of models) await openModel(board, one, signal, settings);
  };
  const later = async () => {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, LEAD_MS).unref());
      try {
        return await load(new AbortController().signal);
      } catch (err) {
        if (isPynqLlmError(err, 'FLEET_STANDBY')) continue;
        fleet.log.error({ err, models }, 'a model could not be loaded after taking the lead');
        return;
      }
    }
  };
  try {
    await withInterrupt(load);
  } catch (error) {
    if (!isPynqLlmError(error, 'FLEET_STANDBY')) throw error;
    void later();
  }
}

/** A standby looks so often whether it has taken the lead. */
const LEAD_MS = 1_000;

interface UpFlags extends GatewayFlags {
  readonly mocks: number;
  readonly device: string;
  readonly threads?: number;
}

function upCommand(): Command {
  const command = new Command('up')
    .description(
      'Start a fleet of mock boards in this process, with nothing installed. Prints its URL for the SDK and the command line; the OpenAI API is at /v1 of the same port. Ctrl-C ends it.',
    )
    .requiredOption('--mocks <n>', 'how many boards', wholeNumber(1, 64))
    .option('-d, --device <url>', 'what each board is: mock:, mock:NAME or mock:FILE.toml', 'mock:')
    .addOption(threadsOption('threads that compute beside each mock'));
  return withGateway(command).action(async ({ mocks, device, threads, ...flags }: UpFlags) => {
    const { startMockFleet } = await import('../../fleet/index.js');
    const { storeDir, pipeline } = flags;
    const tensor = tensorMode(flags);
    await serveGateway(flags, (listening) =>
      startMockFleet({ ...listening, mocks, device, storeDir, threads, pipeline, tensor }),
    );
  });
}

function serveCommand(): Command {
  const command = new Command('serve')
    .description(
      'Serve the boards that join a fleet over a broker: agents started with --fleet. Where another gateway serves them already it stands by, and takes over when that one is lost. Prints its URL; the OpenAI API is at /v1 of the same port.',
    )
    .requiredOption('--bus <url>', "the fleet's broker: nats://HOST[:PORT] or tls://HOST[:PORT]");
  return withGateway(withBroker(command, 'bus')).action(
    async (flags: GatewayFlags & BusFlags & { bus: string }) => {
      const { serveFleet } = await import('../../fleet/index.js');
      const connect = connectBus(flags.bus, 'gateway', accessOf(flags));
      const { storeDir, pipeline } = flags;
      const tensor = tensorMode(flags);
      await serveGateway(flags, (listening) =>
        serveFleet({ ...listening, bus: connect, storeDir, pipeline, tensor }),
      );
    },
  );
}

/** @throws PynqLlmError CLI_BAD_ARGUMENT */
function tensorMode({ tensor, forceTensor = false }: GatewayFlags): TensorMode | undefined {
  if (forceTensor && tensor === undefined)
    throw new PynqLlmError(
      'CLI_BAD_ARGUMENT',
      '--force-tensor is for --tensor, which says over how many boards.',
    );
  return tensor === undefined ? undefined : { boards: tensor, isForced: forceTensor };
}

/** @throws InvalidArgumentError */
function pipelineMode(text: string): PipelineMode {
  if (text === 'auto') return text;
  const count = Number(text);
  if (Number.isInteger(count) && count >= 2 && count <= 64) return count;
  throw new InvalidArgumentError('It must be a number of boards from 2 to 64, or auto.');
}

const PLAN_COLUMNS = ['plan', 'model', 'state', 'stages'].map((heading) => ({ heading }));
const COLUMNS = ['board', 'is', 'state', 'requests', 'models'].map((heading) => ({ heading }));

interface StatusFlags extends DeviceOptions {
  readonly json?: boolean;
}

function statusCommand(): Command {
  const command = new Command('status').description(
    'Show the boards of a fleet: what they have loaded, and how many requests they have.',
  );
  return withJson(withDevice(command), 'one JSON object').action(
    async ({ json, ...options }: StatusFlags) => {
      const status = await withBoard(options, (board) => board.fleetStatus());
      if (json) return printText(`${harmlessJson(status)}\n`);
      const rows = status.boards.map(({ name, title, state, contested, inHand, places, models }) => [
        name,
        title,
        contested ? `${state}, and another board has its key` : state,
        `${inHand} of ${places}`,
        models.map(({ model, state: how }) => `${model.slice(0, 12)} ${how}`).join(', '),
      ]);
      const plans = (status.plans ?? []).map(({ number, model, state, byRows, roundTripMs, stages }) => [
        String(number),
        model.slice(0, 12),
        state,
        byRows
          ? `${stages.map(({ board }) => board).join(', ')} by rows${roundTripMs === undefined ? '' : `, round trip ${roundTripMs.toFixed(2)} ms`}`
          : stages.map(({ board, from, to }) => `${board} ${from} to ${to - 1}`).join(', '),
      ]);
      const cut = plans.length === 0 ? '' : `\n\n${formatTable(PLAN_COLUMNS, plans)}`;
      const { waiting, tokens, redelivered, moved, diverged } = status;
      printText(
        `${formatTable(COLUMNS, rows)}${cut}\n\n${waiting} requests wait for a board; ${tokens} tokens so far, ${redelivered} times a request went on elsewhere, ${moved} times one was moved, ${diverged} tokens of two boards differed\n`,
      );
    },
  );
}
