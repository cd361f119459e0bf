import { Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import type { AgentAnswer, UnitState } from '../../sdk/index.js';
import { EXIT, reportError } from '../exit.js';
import { type DeviceOptions, withDevice, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { formatFacts } from '../output/table.js';
import { formatBytes, formatDuration } from '../output/units.js';
import { withInterrupt } from '../session.js';

/** `status`: how an agent and its service are. */
export function statusCommand(): Command {
  const command = new Command('status').description(
    'How the agent is: version, uptime, board, models, sessions, memory; for ssh:// devices also its service. ' +
      'Ends with status 1 if the agent does not answer.',
  );
  return withJson(withDevice(command), 'one JSON object').action(
    async (options: DeviceOptions & { json?: boolean }) => {
      await withInterrupt(async (signal) => {
        const { device, token, tlsFingerprint: fingerprint } = options;
        const { agentStatus, formatRestarts, killedForMemory } = await import('../../sdk/index.js');
        const { unit, agent, error } = await agentStatus(device, { token, fingerprint, signal });
        if (error !== undefined) {
          reportError(error);
          process.exitCode = EXIT.failed;
        }
        if (options.json) {
          const status = { device, unit: unit ?? null, agent: agent ?? null };
          return printText(`${harmlessJson(status)}\n`);
        }
        const facts = [
          ...(unit === undefined ? [] : unitFacts(unit, formatRestarts(unit), killedForMemory(unit))),
          ...(agent === undefined ? [] : agentFacts(agent)),
        ];
        if (facts.length > 0) printText(`${formatFacts(facts)}\n`);
      });
    },
  );
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
