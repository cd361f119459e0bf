import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { withNodeOf } from '../../../../sdk/deploy/node-archive.js';
import { unsupportedSince } from '../../../../sdk/deploy/node-lines.js';
import { platformOf } from '../../../../sdk/deploy/platforms.js';
import { buildRelease } from '../../../../sdk/deploy/release.js';
import { temporaryDirectory } from '../../../system/support/agent.js';

const ARM = 40;
const AARCH64 = 183;

let folder: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  folder = temporaryDirectory();
});
afterEach(() => {
  vi.unstubAllEnvs();
  folder[Symbol.dispose]();
});

const z1 = platformOf('armv7l')!;

/** The head of a program, as a linker writes it. */
function elf(machine: number): Buffer {
  const program = Buffer.alloc(5_000, machine);
  program.write('\x7fELF', 'latin1');
  program.writeUInt16LE(machine, 18);
  return program;
}

interface Made {
  readonly name?: string;
  readonly machine?: number;
  readonly program?: string;
  readonly kind?: 'gz' | 'xz';
}

/** An archive as nodejs.org has them, made by tar. */
function archive({
  name = 'node-v22.23.5-linux-armv7l',
  machine = ARM,
  program = 'bin/node',
  kind = 'gz',
}: Made = {}): string {
  const tree = join(folder.path, name);
  mkdirSync(join(tree, 'bin'), { recursive: true });
  mkdirSync(join(tree, 'include', 'a'.repeat(99)), { recursive: true });
  writeFileSync(join(tree, 'include', 'a'.repeat(99), 'x.h'), 'a name that is too long for a header');
  writeFileSync(join(tree, 'LICENSE'), 'text');
  writeFileSync(join(tree, program), elf(machine));
  const path = join(folder.path, `${name}.tar.${kind}`);
  execFileSync('tar', ['--format=gnu', '-C', folder.path, kind === 'gz' ? '-czf' : '-cJf', path, name]);
  return path;
}

function sumOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

describe("an archive of Node's own", () => {
  it.each(['gz', 'xz'] as const)('becomes the Node of the release, from a .tar.%s', async (kind) => {
    const path = archive({ kind });
    const platform = await withNodeOf(z1, { path, sha256: sumOf(path).toUpperCase() });
    expect(platform.nodeVersion).toBe('22.23.5');
    const bundle = join(folder.path, 'bundle');
    mkdirSync(join(bundle, 'agent'), { recursive: true });
    writeFileSync(join(bundle, 'package.json'), '{"version":"9.8.7"}');
    writeFileSync(join(bundle, 'agent', 'main.mjs'), 'an agent');
    const { files } = await buildRelease(
      { ...platform, koffi: { ...z1.koffi, from: bundle, files: [] } },
      bundle,
      {},
    );
    const node = files.find((file) => file.path === 'bin/node');
    expect(node).toMatchObject({ mode: '755', bytes: 5_000 });
    expect(elf(ARM).equals(node?.from as Uint8Array)).toBe(true);
    expect(String(files.find((file) => file.path === 'VERSION.json')?.from)).toContain('"node":"22.23.5"');
  });

  it('is taken by the SHASUMS256.txt beside it', async () => {
    const path = archive();
    const sums = `${'0'.repeat(64)}  node-v22.23.5.tar.gz\n${sumOf(path)}  node-v22.23.5-linux-armv7l.tar.gz\n`;
    writeFileSync(join(folder.path, 'SHASUMS256.txt'), sums);
    expect((await withNodeOf(z1, { path })).nodeVersion).toBe('22.23.5');
    writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from([0])]));
    await expect(withNodeOf(z1, { path })).rejects.toMatchObject({ code: 'DEPLOY_NODE_UNVERIFIED' });
  });

  it('is refused where nothing vouches for it', async () => {
    const path = archive();
    await expect(withNodeOf(z1, { path })).rejects.toThrow(/DEPLOY_NODE_UNVERIFIED.*no SHASUMS256\.txt/);
    writeFileSync(join(folder.path, 'SHASUMS256.txt'), `${sumOf(path)}  another-file.tar.gz\n`);
    await expect(withNodeOf(z1, { path })).rejects.toThrow(/DEPLOY_NODE_UNVERIFIED.*does not list it/);
    const wrong = withNodeOf(z1, { path, sha256: '1'.repeat(64) });
    await expect(wrong).rejects.toThrow(/DEPLOY_NODE_UNVERIFIED.*not 1{64}/);
  });

  it.each<readonly [string, Made, RegExp]>([
    [
      'another processor by its name',
      { name: 'node-v22.23.5-linux-arm64', machine: AARCH64 },
      /it is for arm64/,
    ],
    ['another processor by its program', { machine: AARCH64 }, /no program for armv7l/],
    ['a version that is too old', { name: 'node-v18.20.4-linux-armv7l' }, /needs 20.11 or later/],
    ['another operating system', { name: 'node-v22.23.5-darwin-arm64' }, /it has no node-vX/],
    ['no program', { program: 'bin/npm' }, /it has no node-vX/],
  ])('is refused where it is of %s', async (_, made, why) => {
    const path = archive(made);
    const taken = withNodeOf(z1, { path, sha256: sumOf(path) });
    await expect(taken).rejects.toThrow(why);
    await expect(taken).rejects.toMatchObject({ code: 'DEPLOY_NODE_ARCHIVE' });
  });

  it.each([
    ['is no archive', Buffer.from('<html>404</html>')],
    ['is cut off', Buffer.from([0x1f, 0x8b, 8, 0])],
    ['is empty', Buffer.alloc(0)],
  ])('is refused where it %s', async (_, bytes) => {
    const path = join(folder.path, 'node-v22.23.5-linux-armv7l.tar.gz');
    writeFileSync(path, bytes);
    const taken = withNodeOf(z1, { path, sha256: sumOf(path) });
    await expect(taken).rejects.toMatchObject({ code: 'DEPLOY_NODE_ARCHIVE' });
  });

  it('names what is to be done where there is no file, and no xz', async () => {
    const missing = withNodeOf(z1, { path: join(folder.path, 'none.tar.gz') });
    await expect(missing).rejects.toThrow(/DEPLOY_NODE_ARCHIVE.*cannot be read/);
    const path = archive({ kind: 'xz' });
    vi.stubEnv('PATH', folder.path);
    await expect(withNodeOf(z1, { path, sha256: sumOf(path) })).rejects.toThrow(
      /xz is not here: take the .tar.gz/,
    );
  });
});

it('a line of Node.js gets no fixes from the day after its last on', () => {
  const on = (day: string) => Date.parse(`${day}T12:00:00Z`);
  expect(unsupportedSince('20.11.0', on('2026-04-30'))).toBeUndefined();
  expect(unsupportedSince('v20.11.0', on('2026-05-01'))).toBe('2026-04-30');
  expect(unsupportedSince('24.22.3', on('2026-11-29'))).toBeUndefined();
  expect(unsupportedSince('99.0.0', on('2026-11-29'))).toBeUndefined();
});
