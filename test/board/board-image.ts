import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { cacheFolder } from '../system/support/cache-folder.js';
import { lacking } from '../system/support/required-packages.js';
import { noDebianSources } from './debian-sources.js';
import { run } from './run.js';

/** What QEMU boots: files in the cache that no test writes to. */
export interface BoardImage {
  readonly kernel: string;
  readonly deviceTree: string;
  /** The SD card, an ext4 file system of Debian 12. */
  readonly card: string;
  /** What was built now and how long it took; nothing if all of it was in the cache. */
  readonly built: readonly { readonly part: string; readonly seconds: number }[];
}

/** A part of the board that is built by a script of its own, and the files that decide what comes out. */
interface Part {
  readonly name: string;
  readonly script: string;
  readonly recipe: readonly string[];
}

const RECIPE = resolve('test/board/recipe');
const KERNEL: Part = {
  name: 'kernel',
  script: 'kernel.sh',
  recipe: ['kernel.sh', 'kernel.config', 'fpga-manager-sysfs.inc', 'pynq-z1.dts'],
};
const CARD: Part = { name: 'card', script: 'card.sh', recipe: ['card.sh'] };
/** Both together take about 10 minutes on two cores. */
const BUILD_DEADLINE_MS = 45 * 60_000;
/** A command of each package that only building needs. */
const BUILD_COMMANDS = [
  ...['apt-get', 'mmdebstrap', 'qemu-arm-static', 'dtc', 'arm-linux-gnueabihf-gcc'],
  ...['bc', 'flex', 'bison', 'make', 'cpp', 'xz'],
];
const BOOT_COMMANDS = ['qemu-system-arm', 'qemu-img', 'mke2fs', 'fdtput', 'setpriv', 'ssh-keygen'];

/** Why the board cannot be built or booted here, or nothing if it can. */
export function reasonToSkip(): string | undefined {
  const cached = [KERNEL, CARD].every((part) => existsSync(folderOf(part)));
  const missing = [...BOOT_COMMANDS, ...(cached ? [] : BUILD_COMMANDS)].filter((name) => !isOnPath(name));
  if (missing.length > 0)
    return lacking(
      `${missing.join(', ')} not found: apt-get install what test/board/recipe/packages.txt lists`,
    );
  if (cached) return undefined;
  if (process.getuid?.() !== 0) return 'building the board needs root, which this is not';
  const binfmt = '/proc/sys/fs/binfmt_misc';
  if (
    !existsSync(`${binfmt}/register`) &&
    spawnSync('mount', ['-t', 'binfmt_misc', 'binfmt_misc', binfmt]).status !== 0
  )
    return 'building the board runs armv7 programs, and binfmt_misc cannot be mounted here';
  return noDebianSources();
}

/** The board's image from the cache, built first where it is not there. */
export async function boardImage(): Promise<BoardImage> {
  const built = [];
  for (const part of [KERNEL, CARD]) {
    if (existsSync(folderOf(part))) continue;
    const started = performance.now();
    await build(part);
    built.push({ part: part.name, seconds: (performance.now() - started) / 1000 });
  }
  return {
    kernel: join(folderOf(KERNEL), 'zImage'),
    deviceTree: join(folderOf(KERNEL), 'pynq-z1.dtb'),
    card: join(folderOf(CARD), 'sd.img'),
    built,
  };
}

/** Where a part is kept: named by a digest of its recipe, so that a change of the recipe builds anew. */
function folderOf({ name, recipe }: Part): string {
  const digest = createHash('sha256');
  for (const file of recipe) digest.update(readFileSync(join(RECIPE, file))).update('\0');
  return join(cacheFolder(), `${name}-${digest.digest('hex').slice(0, 16)}`);
}

async function build(part: Part): Promise<void> {
  const folder = folderOf(part);
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    // `timeout` ends compilers, too, which would go on for hours in a folder that is deleted.
    const limited = [`${BUILD_DEADLINE_MS / 1000}`, 'nice', 'bash', join(RECIPE, part.script), unfinished];
    await run('timeout', limited, { timeoutMs: BUILD_DEADLINE_MS + 10_000 });
    renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

function isOnPath(command: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
