import { execFile, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { missingLibrary, notFetched } from '../../../bench/board/emulator.js';
import { platformOf } from '../../../sdk/deploy/platforms.js';
import { buildRelease } from '../../../sdk/deploy/release.js';
import { lacking } from './required-packages.js';

/** How a processor's programs run here, by what `uname -m` says on its board: Debian's qemu-user-static and cross packages. */
const PROCESSORS = {
  armv7l: {
    emulator: 'qemu-arm-static',
    sysroot: '/usr/arm-linux-gnueabihf',
    loader: 'ld-linux-armhf.so.3',
    /** What Node calls it. */
    arch: 'arm',
    compiler: 'arm-linux-gnueabihf-gcc',
  },
  aarch64: {
    emulator: 'qemu-aarch64-static',
    sysroot: '/usr/aarch64-linux-gnu',
    loader: 'ld-linux-aarch64.so.1',
    arch: 'arm64',
    compiler: 'aarch64-linux-gnu-gcc',
  },
} as const;
export type Machine = keyof typeof PROCESSORS;
export const MACHINES = Object.keys(PROCESSORS) as readonly Machine[];
/** Emulated, on a machine that does other things too. */
const RUN_MS = 300_000;

/** The release that is deployed to a board, in a folder of this machine. */
export interface EmulatedRelease {
  readonly folder: string;
  /** The start of a command line that runs its Node. */
  readonly node: readonly [string, ...string[]];
  readonly processor: (typeof PROCESSORS)[Machine];
}

/** Lays the release out in a folder, or says why it cannot be run here. */
export async function emulatedRelease(
  machine: Machine,
  folder: string,
): Promise<EmulatedRelease | { readonly missing: string }> {
  const processor = PROCESSORS[machine];
  const { emulator, sysroot, loader } = processor;
  if (spawnSync(emulator, ['--version']).status !== 0)
    return { missing: lacking(`${emulator} is not installed`) };
  const library = missingLibrary(machine, sysroot, loader);
  if (library !== undefined) return { missing: lacking(library) };
  const platform = platformOf(machine);
  if (platform === undefined) throw new Error(`${machine} is a board`);
  try {
    const { files } = await buildRelease(platform, resolve('dist/bundle'), {});
    for (const { path, from, mode } of files) {
      const target = join(folder, path);
      mkdirSync(dirname(target), { recursive: true });
      if (typeof from === 'string') copyFileSync(from, target);
      else writeFileSync(target, from);
      chmodSync(target, Number.parseInt(mode, 8));
    }
  } catch (error) {
    return { missing: lacking(notFetched(error).missing) };
  }
  return { folder, node: [emulator, '-L', sysroot, join(folder, 'bin', 'node')], processor };
}

/**
 * Runs programs of test/system/support beside the release's agent, bundled as it is, with the release's koffi and
 * WebAssembly. Returns what the first one printed.
 * @param programs their names; the others are threads of the first
 */
export async function runInRelease(
  { folder, node }: EmulatedRelease,
  programs: readonly [string, ...string[]],
  args: readonly string[],
): Promise<string> {
  const outdir = join(folder, 'agent');
  await build({
    entryPoints: programs.map((name) => `dist/test/system/support/${name}.js`),
    outdir,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.11',
    external: ['koffi'],
  });
  const [command, ...rest] = [...node, join(outdir, `${programs[0]}.js`), ...args];
  const { stdout } = await promisify(execFile)(command, rest, { timeout: RUN_MS });
  return stdout;
}
