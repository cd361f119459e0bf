import { fileBeside } from '../ssh/index.js';

/** The agent's systemd unit on a board; deploy installs it under this name. */
export const UNIT = 'pynq-llm.service';

/** What systemd says of the unit. */
export interface UnitState {
  /** False where the unit is not installed. */
  readonly installed: boolean;
  /** `active`, `failed`, `inactive`, `activating`, …, as systemd names them. */
  readonly active: string;
  /** `running`, `auto-restart`, `dead`, …. */
  readonly sub: string;
  /** Why it ended last: `success`, `exit-code`, `watchdog`, `oom-kill`, …. */
  readonly result: string;
  /**
   * How often systemd started the agent's process again since the service was started by hand, by a deploy or at boot.
   * What the agent itself restarts, the worker that has the device, is in its health.
   */
  readonly restarts: number;
  /** Bytes, where systemd accounts for memory. */
  readonly memoryBytes: number | undefined;
  /** The release that it runs: its digest, where deploy put it there. */
  readonly release: string | undefined;
  /** Processes that the kernel has killed for memory since the board started, the agent's or others'. */
  readonly memoryKills: number;
}

const PROPERTIES = ['LoadState', 'ActiveState', 'SubState', 'Result', 'NRestarts', 'MemoryCurrent'];
/** What is counted in `restarts`, for people. */
export function formatRestarts({ restarts }: UnitState): string {
  return restarts === 1 ? 'restarted once by systemd' : `restarted ${restarts} times by systemd`;
}

/**
 * Whether the agent, or something beside it, was killed for memory; undefined where nothing shows that. A service that was
 * started again says no more why it ended: the kernel's count does.
 */
export function killedForMemory({ active, result, restarts, memoryKills }: UnitState): string | undefined {
  if (result === 'oom-kill') return 'the kernel killed the agent for memory';
  if (memoryKills === 0 || (active === 'active' && restarts === 0)) return undefined;
  return `the kernel killed ${memoryKills === 1 ? 'a process' : `${memoryKills} processes`} for memory since the board started`;
}

/** Where deploy links the release that runs. */
const CURRENT = '/opt/pynq-llm/current';

/** unit-state.sh and its values: `parseUnitState` reads what it prints. */
export const UNIT_STATE = {
  file: fileBeside('./unit-state.sh', import.meta.url),
  values: { UNIT, PROPERTIES: PROPERTIES.join(','), CURRENT },
} as const;

/** Reads lines of `systemctl show`. @returns undefined where there is no systemd */
export function parseUnitState(output: string): UnitState | undefined {
  const values = new Map(
    output.split('\n').flatMap((line) => {
      const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
      return name === undefined ? [] : [[name, value.trim()] as const];
    }),
  );
  const load = values.get('LoadState');
  if (load === undefined) return undefined;
  const memory = values.get('MemoryCurrent') ?? '';
  const release = values.get('Release')?.split('/').pop();
  return {
    installed: load !== 'not-found',
    active: values.get('ActiveState') ?? 'unknown',
    sub: values.get('SubState') ?? 'unknown',
    result: values.get('Result') ?? 'unknown',
    restarts: Number(values.get('NRestarts') ?? 0) || 0,
    memoryBytes: /^\d{1,15}$/.test(memory) ? Number(memory) : undefined,
    release: release === '' ? undefined : release,
    memoryKills: Number(values.get('OomKills') ?? 0) || 0,
  };
}
