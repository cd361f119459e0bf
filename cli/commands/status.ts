import { Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import type { AgentAnswer, AgentStatus, UnitState } from '../../sdk/index.js';
import { type ChosenBoard, chosenBoards, isSeveral } from '../boards/devices.js';
import { errorForPrograms, onBoards, outcomesByName, worsen } from '../boards/several.js';
import { EXIT, reportError } from '../exit.js';
import { type DevicesOptions, withDevices, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { formatFacts, formatTable } from '../output/table.js';
import { formatBytes, formatDuration } from '../output/units.js';
import { withInterrupt } from '../session.js';

/** More than a busy board takes to answer; less than a person waits for one that hangs, beside others. */
const SEVERAL_MS = 10_000;

/** `status`: how agents and their services are. */
export function statusCommand(): Command {
  const command = new Command('status').description(
    'How the agent is: version, uptime, board, models, sessions, memory; for ssh:// devices also its service. ' +
      'Ends with status 1 if the agent does not answer.',
  );
  return withJson(withDevices(command), 'one JSON object; of several boards one by their names').action(
    async (options: StatusOptions, self: Command) => {
      const boards = await chosenBoards(options, self);
      return isSeveral(options) ? ofSeveral(boards, options) : ofOne(boards[0]!, options);
    },
  );
}

type StatusOptions = DevicesOptions & { readonly json?: boolean };

async function ofOne(board: ChosenBoard, { json }: StatusOptions): Promise<void> {
  await withInterrupt(async (signal) => {
    const { formatRestarts, killedForMemory } = await import('../../sdk/index.js');
    const { unit, agent, error } = await askStatus(board, signal);
    if (error !== undefined) {
      reportError(error);
      process.exitCode = EXIT.failed;
    }
    if (json) return printText(`${harmlessJson(forPrograms(board, { unit, agent, error }))}\n`);
    const facts = [
      ...(unit === undefined ? [] : unitFacts(unit, formatRestarts(unit), killedForMemory(unit))),
      ...(agent === undefined ? [] : agentFacts(agent)),
    ];
    if (facts.length > 0) printText(`${formatFacts(facts)}\n`);
  });
}

async function ofSeveral(boards: readonly ChosenBoard[], { json }: StatusOptions): Promise<void> {
  const outcomes = await onBoards(boards, async (board, signal) => {
    const status = await askStatus(board, signal, SEVERAL_MS);
    if (status.error !== undefined) {
      reportError(status.error, board.name);
      worsen();
    }
    return { ...forPrograms(board, status), status };
  });
  if (json) {
    const byName = outcomesByName(outcomes, ({ status, ...shown }) => ({
      ...shown,
      ...(status.error !== undefined && { error: errorForPrograms(status.error) }),
    }));
    return printText(`${harmlessJson(byName)}\n`);
  }
  const rows = outcomes.map((outcome) => [
    outcome.board.name,
    ...('value' in outcome ? statusCells(outcome.value.status) : ['no answer']),
  ]);
  const headings = [
    'board',
    'state',
    'service',
    'device',
    'loaded',
    'clients',
    'running',
    'up',
    'DMA memory free',
  ];
  printText(
    `${formatTable(
      headings.map((heading, i) => ({ heading, right: i > 4 })),
      rows,
    )}\n`,
  );
}

function askStatus(board: ChosenBoard, signal: AbortSignal, timeoutMs?: number): Promise<AgentStatus> {
  const { device, token, tlsFingerprint: fingerprint } = board;
  return import('../../sdk/index.js').then(({ agentStatus }) =>
    agentStatus(device, { token, fingerprint, signal, timeoutMs }),
  );
}

function forPrograms({ device }: ChosenBoard, { unit, agent }: AgentStatus) {
  return { device, unit: unit ?? null, agent: agent ?? null };
}

function statusCells({ unit, agent }: AgentStatus): string[] {
  const service = unit === undefined ? '-' : unit.installed ? unit.active : 'not installed';
  if (agent === undefined) return ['no answer', service];
  const { info, health, models } = agent;
  const problems = (health.problems ?? []).map(({ part }) => `, ${part} fails`).join('');
  const loaded = models.filter(({ state }) => state === 'loaded');
  return [
    health.state + problems,
    service,
    info.description.title,
    loaded.map((model) => model.names[0] ?? model.digest.slice(0, 12)).join(', ') || '-',
    String(health.sessions),
    String(health.generations),
    formatDuration(health.uptimeMs),
    health.dmaMemory === undefined ? '-' : formatBytes(health.dmaMemory.free),
  ];
}

type Fact = readonly [string, string];

function unitFacts(unit: UnitState, restarts: string, killed: string | undefined): Fact[] {
  const { installed, active, sub, result, memoryBytes, release } = unit;
  if (!installed) return [['service', 'not installed']];
  return [
    ['service', `${active} (${sub})${active === 'active' ? '' : `, last result ${result}`}, ${restarts}`],
    ...(killed === undefined
      ? []
      : [['killed', `${killed}; docs/memory.md says what a model takes`] as const]),
    ...(release === undefined ? [] : [['release', release] as const]),
    ...(memoryBytes === undefined ? [] : [['memory of the service', formatBytes(memoryBytes)] as const]),
  ];
}

function agentFacts({ info, health, models }: AgentAnswer): Fact[] {
  const { dmaMemory, store, problems = [] } = health;
  const loaded = models.filter(({ state }) => state === 'loaded');
  const names = loaded.map((model) => model.names[0] ?? model.digest.slice(0, 12)).join(', ');
  return [
    [
      'agent',
      `${info.agent} on Node.js ${info.node} (${info.platform}), up ${formatDuration(health.uptimeMs)}`,
    ],
    ['device', `${info.device} (${info.description.title})`],
    [
      'state',
      `${health.state}${health.restarts === 0 ? '' : `, its worker was restarted ${health.restarts} times by the agent: ${health.lastError ?? 'unknown'}`}`,
    ],
    ['models', `${models.length} stored, ${loaded.length} loaded${names && `: ${names}`}`],
    ['sessions', `${health.sessions}, this one included; ${health.generations} generations running`],
    ['memory', `${formatBytes(health.process.residentBytes)} resident`],
    ...(dmaMemory === undefined
      ? []
      : [['DMA memory', `${formatBytes(dmaMemory.free)} of ${formatBytes(dmaMemory.total)} free`] as const]),
    ...(store === undefined ? [] : [['model store', `${formatBytes(store.freeBytes)} free`] as const]),
    ...problems.map(({ part, error }) => ['problem', `${part}: ${error}`] as const),
  ];
}
