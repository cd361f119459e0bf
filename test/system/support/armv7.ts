import { execFile, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { ARMV7_SYSROOT, missingLibrary } from '../../../bench/board/emulator.js';
import { isPynqLlmError } from '../../../errors/index.js';
import { platformOf } from '../../../sdk/deploy/platforms.js';
import { buildRelease } from '../../../sdk/deploy/release.js';
import { lacking } from './required-packages.js';

const EMULATOR = 'qemu-arm-static';
/** Emulated, on a machine that does other things too. */
const RUN_MS = 300_000;

/** The release that is deployed to a PYNQ board, in a folder of this machine. */
export interface Armv7Release {
  readonly folder: string;
  /** The start of a command line that runs its Node. */
  readonly node: readonly [string, ...string[]];
}

/** Lays the release out in a folder, or says why it cannot be run here. */
export async function armv7Release(folder: string): Promise<Armv7Release | { readonly missing: string }> {
  if (spawnSync(EMULATOR, ['--version']).status !== 0)
    return { missing: lacking(`${EMULATOR} is not installed`) };
  const library = missingLibrary();
  if (library !== undefined) return { missing: lacking(library) };
  const platform = platformOf('armv7l');
  if (platform === undefined) throw new Error('armv7l is a board');
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
    // Other bytes than the pinned ones are no reason to skip.
    if (isPynqLlmError(error, 'DEPLOY_RUNTIME') && error.what.includes('npm could not fetch it'))
      return { missing: lacking(error.what) };
    throw error;
  }
  return { folder, node: [EMULATOR, '-L', ARMV7_SYSROOT, join(folder, 'bin', 'node')] };
}

/**
 * Runs programs of test/system/support beside the release's agent, bundled as it is, with the release's koffi and
 * WebAssembly. Returns what the first one printed.
 * @param programs their names; the others are threads of the first
 */
export async function runInRelease(
  { folder, node }: Armv7Release,
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
