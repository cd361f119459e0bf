import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openLinuxBoard } from '../../../linux-device/index.js';
import { loadXrt } from '../../../linux-device/koffi-xrt.js';
import { contents, fill } from '../../unit/board/contents.js';
import { MAPPED_Z1, systemIn } from './mapped-board.js';
import { lacking } from './required-packages.js';
import { codeOf, type Sightings } from './use-mapped-board.js';

/** Compiles the library that stands in for the Xilinx runtime's, or says why that cannot be. */
export function compileXrt(compiler: string, folder: string): { path: string } | { missing: string } {
  const path = join(folder, 'libxrt_core.so.2');
  const args = ['-shared', '-fPIC', '-O1', '-Wall', '-o', path, 'test/fixtures/xrt/stand-in.c'];
  const { error, status, stderr } = spawnSync(compiler, args, { encoding: 'utf8' });
  if (error !== undefined) return { missing: lacking(`there is no C compiler ${compiler}`) };
  if (status !== 0) throw new Error(`${compiler}: ${stderr}`);
  return { path };
}

/**
 * Uses a board whose DMA memory the library gives, through koffi, and says what was seen; the same on every
 * architecture.
 * @param root a board's folder, as `layOutBoard` makes it
 */
export function useXrt(root: string, library: string): Sightings {
  const system = { ...systemIn(root), loadXrt: () => loadXrt(library) };
  const open = (freeMiB: number) => {
    writeFileSync(join(root, '/proc/meminfo'), `CmaTotal: 131072 kB\nCmaFree: ${freeMiB * 1024} kB\n`);
    return openLinuxBoard(MAPPED_Z1, { system, devmem: true, memory: 'xrt' });
  };
  const board = open(40);
  const [first, second] = [board.allocate(64), board.allocate(64)];
  for (const buffer of [first, second]) fill(buffer, 0x5a);
  second.giveToDevice();
  second.giveToCpu();
  const bytes = contents(second);
  const seen = {
    memory: board.report.memory,
    physicalAddress: second.physicalAddress,
    returned: [bytes[0], bytes[63]],
    untouched: contents(first)[63],
  };
  board.close();
  return {
    ...seen,
    stale: codeOf(() => contents(second)),
    tooLarge: codeOf(() => open(100)),
    noLibrary: codeOf(() => loadXrt(`${library}.missing`)),
  };
}

/** What `useXrt` sees where everything is as it should be. */
export const XRT_SEEN = {
  memory: {
    kind: 'xrt',
    detail: 'a buffer object of /usr/lib/libxrt_core.so.2 (40 MiB at 0x17000000)',
    passedOver: [],
  },
  physicalAddress: 0x1700_0040,
  // The stand-in's device complements what it was sent.
  returned: [0xa5, 0xa5],
  untouched: 0x5a,
  stale: 'LINUX_CLOSED',
  tooLarge: 'LINUX_XRT_FAILED',
  noLibrary: 'LINUX_XRT_FAILED',
} as const;
