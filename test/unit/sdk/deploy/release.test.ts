import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BOARD_MACHINES, type Platform, platformOf } from '../../../../sdk/deploy/platforms.js';
import { buildRelease } from '../../../../sdk/deploy/release.js';
import { temporaryDirectory } from '../../../system/support/agent.js';

let folder: ReturnType<typeof temporaryDirectory>;
let platform: Platform;
const write = (path: string, text: string) => {
  const file = join(folder.path, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
};
const bundle = () => join(folder.path, 'bundle');
const build = (more: Record<string, string> = {}, kept = new Map<string, string>()) =>
  buildRelease(platform, bundle(), more, kept);

beforeEach(() => {
  folder = temporaryDirectory();
  write('node/bin/node', 'a program');
  write('koffi/package.json', '{}');
  write('bundle/package.json', '{"version":"9.8.7"}');
  write('bundle/agent/main.mjs', 'an agent');
  platform = {
    machine: 'test',
    architecture: 'armv7',
    nodeVersion: '20.11.0',
    glibc: '2.28',
    kernel: '4.18',
    node: { from: join(folder.path, 'node'), file: 'bin/node' },
    koffi: { name: '@koromix/test', from: join(folder.path, 'koffi'), files: ['package.json'] },
  };
});
afterEach(() => folder[Symbol.dispose]());

describe('a release', () => {
  it('has Node, the agent, koffi, how to start it, and what it is', async () => {
    const { files, version } = await build({ 'system/run.sh': 'exec' });
    expect(version).toBe('9.8.7');
    const paths = files.map(({ path }) => path);
    expect(paths).toEqual(paths.toSorted());
    for (const path of [
      'bin/node',
      'agent/main.mjs',
      'node_modules/koffi/package.json',
      'system/run.sh',
      'VERSION.json',
    ])
      expect(paths).toContain(path);
    expect(files.find(({ path }) => path === 'bin/node')?.mode).toBe('755');
    expect(String(files.find(({ path }) => path === 'VERSION.json')?.from)).toBe(
      '{"version":"9.8.7","node":"20.11.0","architecture":"armv7"}\n',
    );
  });

  it('has the same digest for the same files, and another for any other byte', async () => {
    const { digest } = await build();
    expect((await build()).digest).toBe(digest);
    write('bundle/agent/main.mjs', 'an agenT');
    const changed = (await build()).digest;
    expect(changed).not.toBe(digest);
    expect((await build({ 'system/run.sh': 'exec' })).digest).not.toBe(changed);
  });

  it('has a list that sha256sum checks', async () => {
    const { files, manifest } = await build({ 'system/run.sh': 'exec' });
    const place = join(folder.path, 'placed');
    for (const { path, from } of files) {
      mkdirSync(dirname(join(place, path)), { recursive: true });
      if (typeof from === 'string') copyFileSync(from, join(place, path));
      else writeFileSync(join(place, path), from);
    }
    const check = () =>
      execFileSync('sha256sum', ['-c', '--status'], { cwd: place, input: manifest, stdio: 'pipe' });
    expect(check).not.toThrow();
    chmodSync(join(place, 'bin/node'), 0o755);
    writeFileSync(join(place, 'bin/node'), 'another program');
    expect(check).toThrow();
  });

  it('lists what the board has already, without its bytes', async () => {
    const sha256 = 'ab'.repeat(32);
    const { files, manifest, bytes } = await build({}, new Map([['design/fpga.bit', sha256]]));
    expect(files).toContainEqual(expect.objectContaining({ path: 'design/fpga.bit', sha256, bytes: 0 }));
    expect(manifest).toContain(`${sha256}  design/fpga.bit\n`);
    expect(bytes).toBe((await build()).bytes);
  });

  it.each(['../up', 'a/../../up', '/root', 'a//b', 'two words', 'two\nlines', '-r', ''])(
    'has no file named "%s"',
    async (path) => {
      await expect(build({ [path]: 'x' })).rejects.toThrow(/DEPLOY_BUNDLE.*no name for a file/);
    },
  );

  it('without a bundle names what is missing', async () => {
    rmSync(join(bundle(), 'agent'), { recursive: true });
    await expect(build()).rejects.toThrow(/DEPLOY_BUNDLE.*has no agent/);
  });
});

describe('the platforms', () => {
  it.each([
    ['armv7l', 'armv7', /^20\./],
    ['aarch64', 'aarch64', /^24\./],
  ])('%s gets Node and koffi, pinned by digest', (machine, architecture, node) => {
    const found = platformOf(machine);
    expect(found).toMatchObject({ architecture, nodeVersion: expect.stringMatching(node) });
    for (const from of [found?.node.from, found?.koffi.from])
      expect(from).toMatchObject({ integrity: expect.stringMatching(/^sha512-[A-Za-z0-9+/]{86}==$/) });
  });

  it("take koffi's native part at the version of its JavaScript", () => {
    const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
    for (const machine of BOARD_MACHINES)
      expect(platformOf(machine)?.koffi.from).toMatchObject({ version: dependencies.koffi });
  });

  it('are pinned to what the lock file says, where it has the package', () => {
    const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
    for (const machine of BOARD_MACHINES) {
      const koffi = platformOf(machine)?.koffi;
      expect(koffi?.from).toMatchObject({ integrity: packages[`node_modules/${koffi?.name}`].integrity });
    }
  });

  it.each(['riscv64', 'i686', '', 'armv6l'])('there is none for "%s"', (machine) => {
    expect(platformOf(machine)).toBeUndefined();
  });
});
