import { shellCommand, shellScript } from '../ssh/index.js';
import { type Layout, SAFE_READ } from './layout.js';
import { newerNode, unsupportedSince } from './node-lines.js';
import { BOARD_MACHINES, type Platform } from './platforms.js';
import type { ServiceManager } from './service-manager.js';

const MIB = 1024 * 1024;
/** An idle agent takes 60 MiB of an emulated PYNQ-Z1; the rest is for a model's keys and activations. */
const MIN_MEMORY_BYTES = 96 * MIB;
/** DMA memory for the smallest model, its inputs and outputs. */
const MIN_CMA_BYTES = 32 * MIB;
/** Left free for logs and models. */
const DISK_RESERVE_BYTES = 64 * MIB;
const MAX_CLOCK_SKEW_S = 300;

/** What a board says of itself. */
export interface BoardFacts {
  readonly machine: string;
  readonly kernel: string;
  /** `glibc 2.35`; empty where the C library is another one. */
  readonly libc: string;
  readonly uid: number;
  readonly user: string;
  readonly memoryBytes: number;
  /** What the agent that runs now will give back is in it. */
  readonly availableBytes: number;
  /** Contiguous memory area; undefined where the kernel has none. */
  readonly cmaBytes: number | undefined;
  readonly diskBytes: number;
  /** State of the FPGA manager; undefined where the kernel has none. */
  readonly fpgaState: string | undefined;
  /** Whether its owner wrote down which board it is. */
  readonly hasBoardFile: boolean;
  /** How far the board's clock is ahead. */
  readonly clockSkewSeconds: number;
  /** Programs that are not there. */
  readonly missingTools: readonly string[];
}

/** One thing that was looked at. */
export interface PreflightCheck {
  /** What it is. */
  readonly name: string;
  /** A `fail` ends the deploy. */
  readonly verdict: 'pass' | 'warn' | 'fail';
  /** What the board has, with the figures. */
  readonly found: string;
  /** What to do about it; empty where it is fine. */
  readonly fix: string;
}

const TOOLS = ['sha256sum', 'flock', 'seq', 'readlink', 'find', 'stat', 'od', 'cmp', 'awk'];

/** Shell command whose output `parseFacts` reads: preflight.sh. */
export function factsCommand({ base, config }: Layout, manager: ServiceManager): string {
  const script = shellScript([new URL('./preflight.sh', import.meta.url)], {
    BASE: base,
    CONFIG: config,
    TOOLS: [...TOOLS, ...manager.tools].join(' '),
    SAFE_READ,
  });
  return shellCommand(script);
}

/** Reads what `factsCommand` printed. @param nowSeconds our own clock then */
export function parseFacts(output: string, nowSeconds: number): BoardFacts {
  const lines = output.split('\n').flatMap((line) => {
    const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    return name === undefined ? [] : [[name, value.trim()] as const];
  });
  const values = new Map(lines);
  const number = (name: string) => Number(values.get(name) ?? 0) || 0;
  return {
    machine: values.get('machine') ?? 'unknown',
    kernel: values.get('kernel') ?? 'unknown',
    libc: values.get('libc') ?? '',
    uid: values.has('uid') ? number('uid') : -1,
    user: values.get('user') ?? '',
    memoryBytes: number('MemTotal') * 1024,
    availableBytes: (number('MemAvailable') + number('agent')) * 1024,
    cmaBytes: values.has('CmaTotal') ? number('CmaTotal') * 1024 : undefined,
    diskBytes: number('disk') * 1024,
    fpgaState: values.get('fpga'),
    hasBoardFile: values.has('board'),
    clockSkewSeconds: Math.round(number('epoch') - nowSeconds),
    missingTools: lines.filter(([name]) => name === 'missing').map(([, tool]) => tool),
  };
}

export interface PreflightNeeds {
  readonly platform: Platform | undefined;
  /** Milliseconds since 1970, here. */
  readonly nowMs: number;
  /** Bytes that will be written; undefined while that is not known. */
  readonly diskBytes: number;
  /** Whether the agent's device is in this board, so that it needs DMA memory. */
  readonly usesHardware: boolean;
  /** What is known of the design; undefined where the board itself has to know. */
  readonly design: { readonly architecture?: string | undefined; readonly programsFpga: boolean } | undefined;
  /** Whether the service can program the FPGA. */
  readonly mayProgram: boolean;
  /** Whether root's rights are needed and cannot be had. */
  readonly lacksRoot: boolean;
}

/** Judges a board before anything is sent. */
export function judge(facts: BoardFacts, needs: PreflightNeeds): PreflightCheck[] {
  const { platform } = needs;
  const check = (
    name: string,
    found: string,
    verdict: PreflightCheck['verdict'],
    fix: string,
  ): PreflightCheck => ({
    name,
    found,
    verdict,
    fix: verdict === 'pass' ? '' : fix,
  });
  const isGood = (good: boolean, otherwise: 'warn' | 'fail' = 'fail') => (good ? 'pass' : otherwise);
  const glibc = /^glibc (\d+\.\d+)/.exec(facts.libc)?.[1];
  const skew = facts.clockSkewSeconds;
  return [
    check(
      'architecture',
      facts.machine,
      isGood(platform !== undefined),
      `There are releases for ${BOARD_MACHINES.join(' and ')}.`,
    ),
    check(
      'C library',
      facts.libc || 'not glibc',
      isGood(glibc !== undefined && atLeast(glibc, platform?.glibc ?? '0')),
      `Node needs glibc ${platform?.glibc ?? ''} or later: install a newer image (PYNQ 2.7 or later).`,
    ),
    check(
      'kernel',
      facts.kernel,
      isGood(atLeast(facts.kernel, platform?.kernel ?? '0')),
      `Node needs Linux ${platform?.kernel ?? ''} or later: install a newer image.`,
    ),
    ...(platform === undefined ? [] : [nodeCheck(platform, needs.nowMs)]),
    check(
      'memory',
      `${mib(facts.availableBytes)} of ${mib(facts.memoryBytes)} available`,
      isGood(facts.availableBytes >= MIN_MEMORY_BYTES),
      `The agent needs ${mib(MIN_MEMORY_BYTES)}: stop other programs, such as Jupyter (\`sudo systemctl stop jupyter\`).`,
    ),
    ...(needs.usesHardware
      ? [
          check(
            'CMA',
            facts.cmaBytes === undefined ? 'none' : mib(facts.cmaBytes),
            isGood((facts.cmaBytes ?? 0) >= MIN_CMA_BYTES, 'warn'),
            'Unless memory is reserved otherwise, boot with cma=128M on the kernel command line.',
          ),
          boardCheck(facts, needs),
          fpgaCheck(facts, needs),
        ]
      : []),
    check(
      'disk',
      `${mib(facts.diskBytes)} free`,
      isGood(facts.diskBytes >= needs.diskBytes + DISK_RESERVE_BYTES),
      `${mib(needs.diskBytes + DISK_RESERVE_BYTES)} are needed: free some, or remove old releases.`,
    ),
    check(
      'clock',
      skew === 0 ? 'right' : `${Math.abs(skew)} s ${skew < 0 ? 'behind' : 'ahead'}`,
      isGood(Math.abs(skew) <= MAX_CLOCK_SKEW_S, 'warn'),
      "Set it (`sudo timedatectl set-ntp true`, or `sudo date -s`): the board's logs and certificates go by it.",
    ),
    check(
      'programs',
      facts.missingTools.length === 0 ? 'all there' : `no ${facts.missingTools.join(', ')}`,
      isGood(facts.missingTools.length === 0),
      facts.missingTools.includes('systemctl')
        ? 'Without systemd: --without-systemd FOLDER.'
        : 'Install them with the package manager of the board.',
    ),
    check(
      'sudo',
      needs.lacksRoot ? `${facts.user} may not become root` : facts.uid === 0 ? 'is root' : 'yes',
      isGood(!needs.lacksRoot),
      'Log in as a user who may use sudo, and give the right password.',
    ),
  ];
}

/** What a board's agent runs on should get fixes; the board works without. */
function nodeCheck({ nodeVersion, machine }: Platform, now: number): PreflightCheck {
  const since = unsupportedSince(nodeVersion, now);
  return {
    name: 'Node.js',
    verdict: since === undefined ? 'pass' : 'warn',
    found: since === undefined ? nodeVersion : `${nodeVersion} gets no fixes since ${since}`,
    fix: since === undefined ? '' : newerNode(machine),
  };
}

/** Whether it is known which board this is, and right as far as can be seen. */
function boardCheck(facts: BoardFacts, { design, platform }: PreflightNeeds): PreflightCheck {
  const wanted = design?.architecture;
  const isOther = wanted !== undefined && wanted !== platform?.architecture;
  const found = isOther
    ? `described as ${wanted}`
    : design
      ? 'described'
      : facts.hasBoardFile
        ? 'its own file'
        : 'unknown';
  const isGood = !isOther && (design !== undefined || facts.hasBoardFile);
  return {
    name: 'board',
    verdict: isGood ? 'pass' : 'fail',
    found,
    fix: isGood ? '' : 'Say which board it is: --board pynq-z1, pynq-z2, kv260, or a .toml file of your own.',
  };
}

/** Without a configured FPGA the first access to a register would hang the processor; the agent refuses it. */
function fpgaCheck({ fpgaState }: BoardFacts, { design, mayProgram }: PreflightNeeds): PreflightCheck {
  const programs = design?.programsFpga === true;
  const [verdict, fix]: [PreflightCheck['verdict'], string] =
    fpgaState === undefined
      ? [
          'fail',
          'The kernel needs its FPGA manager: write an image for this board (PYNQ 2.7 or later) to the card.',
        ]
      : programs && !mayProgram
        ? [
            'fail',
            'Without systemd nothing programs it: let the start-up of the board do it, and leave --bitstream out.',
          ]
        : programs || fpgaState === 'operating'
          ? ['pass', '']
          : ['warn', 'Nothing is in it yet: give --bitstream FILE, or program it before the agent starts.'];
  return { name: 'FPGA', found: fpgaState ?? 'no FPGA manager', verdict, fix };
}

/** Whether a version such as `5.15.19-xilinx` is at least another. */
function atLeast(version: string, least: string): boolean {
  const [major = 0, minor = 0] = version.split(/[^\d]/).map(Number);
  const [leastMajor = 0, leastMinor = 0] = least.split('.').map(Number);
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
