import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { factsScript } from '../../../../sdk/doctor/board-facts.js';
import type { Login } from '../../../../sdk/doctor/session.js';

/** A board's files in a folder, and the commands that answer for its kernel. */
export interface BoardTree extends Disposable {
  /** What a shell on that board would print for the doctor's questions. */
  readonly login: Login;
}

export interface BoardTreeOptions {
  readonly machine: string;
  readonly glibc?: string;
  /** Output of `systemctl`; without it there is none. */
  readonly systemctl?: string;
  /** Free kilobytes that `df` tells. */
  readonly freeKilobytes?: number;
  /** What the board reaches. */
  readonly forwardToHost?: Login['forwardToHost'];
  /** Contents by path. */
  readonly files: Readonly<Record<string, string>>;
}

/** A PYNQ-Z1 as its image sets it up, ready for the agent. */
export const Z1: BoardTreeOptions = {
  machine: 'armv7l',
  systemctl: [
    'LoadState=loaded',
    'ActiveState=active',
    'SubState=running',
    'Result=success',
    'NRestarts=0',
    'MemoryCurrent=88000000',
    'ExecStart={ path=/opt/x ; argv[]=node main.mjs --device linux:pynq-z1 --listen unix:/run/a ; }',
  ].join('\n'),
  files: {
    '/proc/sys/kernel/osrelease': '5.15.19-xilinx-v2022.1\n',
    '/proc/meminfo':
      'MemTotal:         507712 kB\nMemFree:          102400 kB\nMemAvailable:     351232 kB\nCmaTotal:         131072 kB\nCmaFree:           98304 kB\n',
    '/sys/class/fpga_manager/fpga0/state': 'operating\n',
    '/sys/class/uio/uio0/name': 'bfp-core\n',
    '/dev/uio0': '',
    '/sys/class/u-dma-buf/udmabuf0/size': '67108864\n',
    '/dev/udmabuf0': '',
  },
};

/** Lays the files out; real `sh`, `awk` and `ls` read them. */
export function boardTree(options: BoardTreeOptions): BoardTree {
  const root = mkdtempSync(join(tmpdir(), 'pynq-llm-board-'));
  for (const [path, text] of Object.entries(options.files)) write(join(root, path), text);
  const commands: Record<string, string> = {
    uname: `echo ${options.machine}`,
    getconf: `echo glibc ${options.glibc ?? '2.35'}`,
    df: `printf 'Filesystem 1024-blocks Used Available\\n/dev/root 9 9 ${options.freeKilobytes ?? 8_000_000}\\n'`,
    systemctl: options.systemctl === undefined ? 'exit 127' : `cat <<'END'\n${options.systemctl}\nEND`,
    readlink: 'exit 1',
  };
  for (const [name, body] of Object.entries(commands)) {
    const file = join(root, 'bin', name);
    write(file, `#!/bin/sh\n${body}\n`);
    chmodSync(file, 0o755);
  }
  return {
    login: {
      exec: (_, { stdin } = {}) =>
        new Promise((resolve) => {
          const env = { PATH: `${join(root, 'bin')}:${process.env.PATH}` };
          const shell = execFile('sh', ['-s'], { env }, (error, stdout, stderr) =>
            resolve({ status: error === null ? 0 : 1, stdout, stderr }),
          );
          if (stdin !== factsScript()) throw new Error('the doctor asks this one question');
          shell.stdin?.end(factsScript(root));
        }),
      upload: () => Promise.reject(new Error('the doctor sends no files')),
      forwardTo: () => Promise.reject(new Error('no agent runs here')),
      forwardToHost: options.forwardToHost ?? (() => Promise.reject(new Error('nobody listens'))),
      close: async () => {},
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
