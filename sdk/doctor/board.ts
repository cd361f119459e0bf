import { bootHelp } from '../../firmware-bridge/index.js';
import { formatRestarts, killedForMemory } from '../service/unit-state.js';
import type { BoardFacts, DeviceNode } from './board-facts.js';
import { type Check, type Finding, fail, pass, skip, warn } from './check.js';
import type { DoctorSession } from './session.js';

/** What Node.js 20's binaries need (its BUILDING.md, "Platform list"). */
const LEAST_KERNEL = [4, 18] as const;
const LEAST_GLIBC = [2, 28] as const;
/** The agent with the bundled model, and room for Linux beside it. */
const LEAST_MEMORY_BYTES = 120e6;
/** Buffers for one tile's weights, inputs and results of every lane; a model wants far more. */
const LEAST_CMA_BYTES = 16 * 2 ** 20;
/** One release with Node.js, and the next one beside it. */
const LEAST_DISK_BYTES = 300e6;
const MACHINES: Readonly<Record<string, string>> = { armv7: 'armv7l', aarch64: 'aarch64' };

/** A check of what was read over SSH. */
interface FactCheck {
  readonly name: string;
  /** @returns undefined where there is nothing to say of this board */
  judge(facts: BoardFacts, session: DoctorSession): Finding | undefined;
}

const FACT_CHECKS: readonly FactCheck[] = [
  { name: 'architecture', judge: architecture },
  {
    name: 'kernel',
    judge: ({ kernel }) => {
      if (isAtLeast(kernel, LEAST_KERNEL)) return pass(kernel);
      return fail(
        `${kernel} is older than ${LEAST_KERNEL.join('.')}, which Node.js 20 needs`,
        'Write a newer image to the card: PYNQ 2.7 or later.',
      );
    },
  },
  {
    name: 'C library',
    judge: ({ glibc }) => {
      if (glibc !== undefined && isAtLeast(glibc, LEAST_GLIBC)) return pass(`glibc ${glibc}`);
      return fail(
        `${glibc === undefined ? 'not glibc' : `glibc ${glibc}`}; Node.js 20 needs glibc ${LEAST_GLIBC.join('.')}`,
        'Write a newer image to the card: PYNQ 2.7 or later.',
      );
    },
  },
  { name: 'memory', judge: memory },
  { name: 'CMA', judge: contiguousMemory },
  { name: 'reserved memory', judge: reservedMemory },
  { name: 'disk', judge: disk },
  { name: 'FPGA manager', judge: fpgaManager },
  { name: 'register access', judge: registerAccess },
  { name: 'DMA buffers', judge: dmaBuffers },
  { name: 'service', judge: service },
];

/** The board's own state, read over SSH. */
export const BOARD_CHECKS: readonly Check<DoctorSession>[] = FACT_CHECKS.map(({ name, judge }) => ({
  name,
  group: 'board',
  run: async (session) => {
    const facts = await session.facts();
    if (facts !== undefined) return judge(facts, session);
    return skip(
      session.target.kind === 'ssh' ? 'the SSH login failed' : 'needs a device reached by ssh://USER@HOST',
    );
  },
}));

/** Whether the agent computes without programmable logic; undefined where its device is not known. */
function isMock(facts: BoardFacts, session: DoctorSession): boolean | undefined {
  return session.deviceOf(facts)?.startsWith('mock');
}

function architecture(facts: BoardFacts, session: DoctorSession): Finding {
  const { machine } = facts;
  const known = Object.values(MACHINES).includes(machine);
  if (!known && isMock(facts, session))
    return warn(`${machine}: no Zynq board, but the agent serves a mock`, 'Deploy to a board for real work.');
  if (!known)
    return fail(`${machine} is neither armv7l nor aarch64`, 'Check the host name: this is no Zynq board.');
  const described = session.info?.description;
  if (described === undefined || isMock(facts, session) || MACHINES[described.architecture] === machine)
    return pass(machine);
  return fail(
    `${machine}, but the board description ${described.name} is of ${described.architecture}`,
    'Name the right board description in /etc/pynq-llm/board.toml.',
  );
}

function memory({ memory: { total, available } }: BoardFacts): Finding {
  if (total === undefined || available === undefined)
    return warn('/proc/meminfo does not say', 'Check that /proc is mounted.');
  const detail = `${megabytes(available)} of ${megabytes(total)} available`;
  if (available >= LEAST_MEMORY_BYTES) return pass(detail);
  return warn(
    detail,
    'Stop what is not needed: on PYNQ images `sudo systemctl disable --now jupyter` frees most.',
  );
}

function contiguousMemory(facts: BoardFacts, session: DoctorSession): Finding {
  const { total, free } = facts.cma;
  if (isMock(facts, session)) return skip('the agent serves a mock, which needs no contiguous memory');
  const fix = 'Add `cma=128M` to the boot arguments (uEnv.txt or the device tree) and restart the board.';
  if (total === undefined || free === undefined || total === 0) {
    if (facts.uio.length + facts.dmaBuffers.length > 0)
      return warn('none; DMA memory has to be a reserved region', fix);
    return fail('none, and no other DMA memory either', fix);
  }
  const detail = `${megabytes(free)} of ${megabytes(total)} free`;
  return free >= LEAST_CMA_BYTES ? pass(detail) : warn(detail, fix);
}

/** Where DMA memory is neither a u-dma-buf's nor XRT's: whether Linux leaves alone what the description gives to DMA. */
function reservedMemory(facts: BoardFacts, session: DoctorSession): Finding | undefined {
  const name = session.board?.info.description.name ?? facts.boardName;
  if (isMock(facts, session) || name === undefined || facts.dmaBuffers.length > 0) return undefined;
  let help: ReturnType<typeof bootHelp>;
  try {
    help = bootHelp(name);
  } catch {
    // The board's own file, which is not here.
    return undefined;
  }
  const { base, mebibytes, text } = help;
  if (base === undefined) return undefined;
  const [, limit, unit = ''] = /(?:^|\s)mem=(\d+)([KMG]?)(?:\s|$)/i.exec(facts.commandLine) ?? [];
  const end =
    limit === undefined ? Number.POSITIVE_INFINITY : Number(limit) * (UNITS[unit.toUpperCase()] ?? 1);
  const at = `${mebibytes} MiB at 0x${base.toString(16)}, as ${name} has them`;
  if (end <= base) return pass(`mem=${limit}${unit} keeps ${at}, from Linux`);
  if (facts.reserved.includes(base)) return pass(`the device tree reserves ${at}`);
  return fail(`Linux may use the ${at}`, `Restart the board with ${text}.`);
}

const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

function disk({ disk: free }: BoardFacts): Finding {
  if (free.size === 0) return warn('`df` does not say', 'Check `df -h` on the board.');
  const detail = [...free].map(([path, bytes]) => `${megabytes(bytes)} free in ${path}`).join(', ');
  if (Math.min(...free.values()) >= LEAST_DISK_BYTES) return pass(detail);
  return warn(
    detail,
    'Remove old releases (`pynq-llm deploy --list`) and models (`pynq-llm models delete MODEL`).',
  );
}

function fpgaManager(facts: BoardFacts, session: DoctorSession): Finding {
  const { fpga } = facts;
  const detail = [...fpga].map(([name, state]) => `${name} is ${state}`).join(', ');
  if (isMock(facts, session))
    return skip(`the agent serves a mock, which needs no bitstream${detail && `; ${detail}`}`);
  if (fpga.size === 0)
    return fail(
      'there is none in /sys/class/fpga_manager',
      "The kernel lacks the driver of the FPGA manager: use the board's PYNQ image.",
    );
  if ([...fpga.values()].includes('operating')) return pass(detail);
  return fail(
    `${detail}: no bitstream is loaded`,
    'Give it to the board: `pynq-llm deploy BOARD --board NAME --bitstream FILE`.',
  );
}

function registerAccess(facts: BoardFacts, session: DoctorSession): Finding {
  if (isMock(facts, session)) return skip('the agent serves a mock, which needs no UIO');
  if (facts.uio.length > 0) return pass(facts.uio.map(describeNode).join(', '));
  return warn(
    'there is no /dev/uio node',
    'Add a generic-uio node to the device tree, or allow /dev/mem (docs/security.md says what that means).',
  );
}

function dmaBuffers(facts: BoardFacts, session: DoctorSession): Finding {
  if (isMock(facts, session)) return skip('the agent serves a mock, which needs no DMA memory');
  if (facts.dmaBuffers.length > 0) return pass(facts.dmaBuffers.map(describeNode).join(', '));
  return warn(
    'neither u-dma-buf, dma-heap nor XRT',
    'Load the u-dma-buf module, or reserve memory in the device tree (docs/getting-started-board.md).',
  );
}

function service({ unit }: BoardFacts): Finding {
  if (unit === undefined) return skip('the board has no systemd');
  if (!unit.installed) return fail('pynq-llm.service is not installed', 'Run `pynq-llm deploy HOST`.');
  const release = unit.release === undefined ? '' : `, release ${unit.release.slice(0, 12)}`;
  const detail = `${unit.active} (${unit.sub})${release}, ${formatRestarts(unit)}`;
  const killed = killedForMemory(unit);
  const reason = 'Read why: `pynq-llm logs`.';
  const logs =
    killed === undefined
      ? reason
      : `${reason} Also, ${killed}: stop what is not needed, or load less (\`pynq-llm inspect FILE\` adds up what a model takes).`;
  if (unit.active !== 'active') return fail(`${detail}, last result ${unit.result}`, logs);
  return unit.restarts === 0 ? pass(detail) : warn(detail, logs);
}

function describeNode({ path, label, rights }: DeviceNode): string {
  return `${path} (${label}; ${rights || 'no such node'})`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

/** Whether a version such as `5.15.19-xilinx` is not older than the one given. */
function isAtLeast(version: string, [leastMajor, leastMinor]: readonly [number, number]): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) > leastMajor || (Number(major) === leastMajor && Number(minor) >= leastMinor);
}
