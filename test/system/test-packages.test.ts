import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { noDebianSources } from '../board/debian-sources.js';
import { lacking } from './support/required-packages.js';

/** Notes its arguments; what UPDATE, BROKEN, UNKNOWN and MIRROR say decides how it ends. */
const APT_GET = `echo "$*" >>"$STATE/calls"
case "$*" in
*update*) [ "\${UPDATE-}" = fails ] && { echo 'E: Some index files failed to download.' >&2; exit 100; } ;;
*install*)
  package=$(echo "$*" | sed 's/.* //')
  [ "$package" = "\${BROKEN-}" ] && { echo 'E: Unable to fetch some archives' >&2; exit 100; }
  : >"$STATE/installed-$package" ;;
*download*) [ "\${UNKNOWN-}" = yes ] && exit 100 ;;
*indextargets*) echo "\${MIRROR-}" ;;
esac
exit 0`;
const DPKG_QUERY = `for package; do :; done
[ -e "$STATE/installed-$package" ] || exit 1
case "$*" in *Status*) printf 'install ok installed' ;; *) printf '%s\\t1.0\\n' "$package" ;; esac`;
/** All that the script and the commands above may use, so that this machine's apt is out of reach. */
const TOOLS = ['bash', 'sh', 'cat', 'dirname', 'sed', 'tail', 'timeout', 'tr'];
const PACKAGES = [
  ...readFileSync('test/board/recipe/packages.txt', 'utf8').trim().split('\n'),
  ...['openssh-server', 'openssl', 'nats-server', 'faketime', 'gcc', 'shellcheck'],
];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'test-packages-'));
  for (const tool of TOOLS) symlinkSync(pathOf(tool), join(folder, tool));
  command('apt-get', APT_GET);
  command('dpkg-query', DPKG_QUERY);
  command('id', 'printf %s $UID_HERE');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function pathOf(tool: string): string {
  return spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim();
}

function command(name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
}

function calls(): string[] {
  const path = join(folder, 'calls');
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
}

function script(env: Readonly<Record<string, string>> = {}): string[] {
  const { status, stdout, stderr } = spawnSync('bash', ['scripts/test-packages.sh'], {
    env: { PATH: folder, STATE: folder, UID_HERE: '0', ...env },
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.trim().split('\n');
}

describe('scripts/test-packages.sh', () => {
  it('installs every package that is missing, one by one', () => {
    writeFileSync(join(folder, 'installed-gcc'), '');
    const missing = PACKAGES.filter((name) => name !== 'gcc');
    expect(script()).toEqual(missing.map((name) => `apt: installed ${name} 1.0`));
    expect(calls()).toHaveLength(1 + missing.length);
  });

  it('installs them all with the lists that are there when an update fails', () => {
    const [first, ...others] = script({ UPDATE: 'fails' });
    expect(first).toBe('apt: update failed, older lists are used: E: Some index files failed to download.');
    expect(others).toEqual(PACKAGES.map((name) => `apt: installed ${name} 1.0`));
  });

  it('says which package cannot be had, and installs the others', () => {
    const lines = script({ BROKEN: 'mmdebstrap' });
    expect(lines).toHaveLength(PACKAGES.length);
    expect(lines.filter((line) => !line.includes('installed'))).toEqual([
      'apt: could not install mmdebstrap: E: Unable to fetch some archives',
    ]);
  });

  it('leaves apt alone where everything is installed', () => {
    for (const name of PACKAGES) writeFileSync(join(folder, `installed-${name}`), '');
    expect(script()).toEqual(['apt: everything is installed']);
    expect(calls()).toEqual([]);
  });

  it.each([
    [
      'who is not root',
      { UID_HERE: '1000' },
      /^apt: not root, so qemu-system-arm .* shellcheck cannot be installed;/,
    ],
    ['a system without apt', {}, /^apt: this system has none;/],
  ])('says why nothing can be installed to %s', (who, env, said) => {
    if (who.endsWith('apt')) rmSync(join(folder, 'apt-get'));
    expect(script(env)).toEqual([expect.stringMatching(said)]);
    expect(calls()).toEqual([]);
  });
});

describe("the emulated board's sources", () => {
  const asked = (env: Readonly<Record<string, string>>) => {
    for (const [name, value] of Object.entries({ PATH: folder, STATE: folder, ...env }))
      vi.stubEnv(name, value);
    return noDebianSources();
  };

  it("are those of apt's lists, also when an update fails", () => {
    expect(asked({ UPDATE: 'fails', MIRROR: 'http://deb.example/debian' })).toBeUndefined();
    expect(calls()[0]).toBe('-qq update');
  });

  it.each([
    ['the kernel', { UNKNOWN: 'yes', MIRROR: 'http://deb.example/debian' }, 'linux-source-6.1'],
    ['a mirror', {}, 'a mirror of Debian'],
  ])('are missing where the lists are without %s', (_, env, what) => {
    vi.stubEnv('REQUIRE_TEST_PACKAGES', '');
    expect(asked(env)).toContain(`apt's lists are without ${what}`);
    vi.stubEnv('REQUIRE_TEST_PACKAGES', '1');
    expect(() => asked(env)).toThrow(`apt's lists are without ${what}`);
  });
});

it('a missing package is a reason to skip, and an error where packages are required', () => {
  vi.stubEnv('REQUIRE_TEST_PACKAGES', '');
  expect(lacking('no sshd')).toBe('no sshd');
  vi.stubEnv('REQUIRE_TEST_PACKAGES', '1');
  expect(() => lacking('no sshd')).toThrow('no sshd');
});
