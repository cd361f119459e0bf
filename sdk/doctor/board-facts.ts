import { PynqLlmError } from '../../errors/index.js';
import { parseUnitState, UNIT_STATE, type UnitState } from '../service/unit-state.js';
import { shellScript } from '../ssh/index.js';
import type { KnownFleet } from './see-broker.js';

/** A device node that the driver may use, as `ls` shows it. */
export interface DeviceNode {
  readonly path: string;
  /** What sysfs calls it: the name in the device tree, or a size. */
  readonly label: string;
  /** `crw-rw---- root pynq-llm` */
  readonly rights: string;
}

/** What one look at a board's files gives; sizes in bytes, undefined where the board does not say. */
export interface BoardFacts {
  /** `uname -m`: armv7l, aarch64, …. */
  readonly machine: string;
  readonly kernel: string;
  /** glibc's version, such as 2.35; undefined with another C library. */
  readonly glibc: string | undefined;
  /** The board's clock, milliseconds since 1970. */
  readonly clockMs: number;
  readonly memory: { readonly total?: number; readonly available?: number };
  readonly cma: { readonly total?: number; readonly free?: number };
  /** Free bytes by directory. */
  readonly disk: ReadonlyMap<string, number>;
  /** State of each FPGA manager by name: `operating`, `unknown`, …. */
  readonly fpga: ReadonlyMap<string, string>;
  readonly uio: readonly DeviceNode[];
  readonly dmaBuffers: readonly DeviceNode[];
  /** undefined where there is no systemd. */
  readonly unit: UnitState | undefined;
  /** `--device` of the agent that the unit starts, where it says so. */
  readonly agentDevice: string | undefined;
  /** Shipped description of the board that this device is; undefined where it is another file. */
  readonly boardName: string | undefined;
  /** The fleet that its release is for, as `deploy --fleet` wrote it. */
  readonly fleet: KnownFleet | undefined;
  /** What the kernel was started with. */
  readonly commandLine: string;
  /** Where nodes of the device tree reserve memory. */
  readonly reserved: readonly number[];
}

/**
 * The shell script that prints a board's facts: board-facts.sh.
 * @param root prefix of every path; empty on a board
 */
export function factsScript(root = ''): string {
  return shellScript([new URL('./board-facts.sh', import.meta.url), UNIT_STATE.file], {
    ROOT: root,
    ...UNIT_STATE.values,
  });
}

/** Reads what the script printed. @throws PynqLlmError SERVICE_BAD_ANSWER where it is not that */
export function parseFacts(output: string): BoardFacts {
  const lines = output.split('\n').flatMap((line) => {
    const [, name, value] = /^([\w./-]+)=(.*)$/.exec(line) ?? [];
    return name === undefined ? [] : [{ name, value: value.trim() }];
  });
  const first = (name: string) => lines.find((line) => line.name === name)?.value ?? '';
  const kilobytes = (name: string) => {
    const text = first(`kb.${name}`);
    return /^\d{1,12}$/.test(text) ? Number(text) * 1024 : undefined;
  };
  const under = (prefix: string) =>
    lines.flatMap(({ name, value }) =>
      name.startsWith(prefix) && value !== '' ? [[name.slice(prefix.length), value] as const] : [],
    );
  const clock = Number(first('clock'));
  if (first('machine') === '' || !(clock > 0))
    throw new PynqLlmError(
      'SERVICE_BAD_ANSWER',
      'The board did not say what machine it is and what time it has.',
    );
  const agentDevice = /--device[ =]([^\s;]+)/.exec(first('exec'))?.[1];
  const fleet = /--fleet (\S+)/.exec(first('fleet'))?.[1];
  const fingerprint = /--fleet-fingerprint (\S+)/.exec(first('fleet'))?.[1];
  const [total, available] = [kilobytes('MemTotal'), kilobytes('MemAvailable')];
  const [cmaTotal, cmaFree] = [kilobytes('CmaTotal'), kilobytes('CmaFree')];
  return {
    machine: first('machine'),
    kernel: first('kernel'),
    glibc: /^glibc (\d+\.\d+)/.exec(first('libc'))?.[1],
    clockMs: clock * 1000,
    memory: { ...(total !== undefined && { total }), ...(available !== undefined && { available }) },
    cma: {
      ...(cmaTotal !== undefined && { total: cmaTotal }),
      ...(cmaFree !== undefined && { free: cmaFree }),
    },
    disk: new Map(under('disk.').map(([path, value]) => [path, Number(value) * 1024])),
    fpga: new Map(under('fpga.')),
    uio: nodes(lines, 'uio'),
    dmaBuffers: nodes(lines, 'dma'),
    unit: parseUnitState(output),
    agentDevice,
    boardName: /^linux:([a-z0-9-]+)(?:\?|$)/.exec(agentDevice ?? '')?.[1] ?? (first('board') || undefined),
    fleet: fleet === undefined ? undefined : { url: fleet, fingerprint },
    commandLine: first('cmdline'),
    reserved: lines.filter(({ name }) => name === 'reserved').map(({ value }) => Number.parseInt(value, 16)),
  };
}

function nodes(
  lines: readonly { readonly name: string; readonly value: string }[],
  kind: string,
): DeviceNode[] {
  return lines
    .filter(({ name }) => name === kind)
    .map(({ value }) => {
      const [path = '', label = '', rights = ''] = value.split('|');
      return { path, label, rights };
    });
}
