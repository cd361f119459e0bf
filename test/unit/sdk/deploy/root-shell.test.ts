import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { RootShell } from '../../../../sdk/deploy/root-shell.js';
import type { RemoteHost } from '../../../../sdk/ssh/index.js';
import { temporaryDirectory } from '../../../system/support/agent.js';

describe('a shell of root through sudo', () => {
  const directory = temporaryDirectory();
  const bin = join(directory.path, 'bin');
  mkdirSync(bin);
  const command = (name: string, body: string) => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  // A sudo that keeps the whole environment, as sudoers may say.
  command('sudo', `while :; do case $1 in -p) shift 2 ;; -*) shift ;; *) exec "$@" ;; esac; done`);
  command('id', 'echo a program of the user');
  afterAll(() => directory[Symbol.dispose]());

  const host: RemoteHost = {
    exec: (line, { stdin } = {}) =>
      new Promise((resolve) => {
        const env = { PATH: `${bin}:${process.env.PATH}`, EVIL: 'yes' };
        const shell = execFile('sh', ['-c', line], { env }, (error, stdout, stderr) =>
          resolve({ status: error === null ? 0 : 1, stdout, stderr }),
        );
        shell.stdin?.end(stdin);
      }),
    upload: () => Promise.reject(new Error('root sends no files')),
    forwardTo: () => Promise.reject(new Error('root opens no tunnels')),
  };

  it.each([undefined, 'a password'])(
    'finds no program and no variable of the user who calls sudo (password: %s)',
    async (password) => {
      const root = new RootShell(host, { kind: 'sudo', password });
      expect(await root.run('say', 'id -u; echo "$EVIL$1"', ["it's a word"])).toBe(
        `${process.getuid?.()}\nit's a word\n`,
      );
    },
  );
});
