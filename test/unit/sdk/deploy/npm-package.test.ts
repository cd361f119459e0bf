import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fetchPackage } from '../../../../sdk/deploy/npm-package.js';
import { temporaryDirectory } from '../../../system/support/agent.js';

let folder: ReturnType<typeof temporaryDirectory>;

beforeEach(() => {
  folder = temporaryDirectory();
  vi.stubEnv('XDG_CACHE_HOME', join(folder.path, 'cache'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  folder[Symbol.dispose]();
});

interface Entry {
  readonly name: string;
  readonly data?: string;
  readonly type?: string;
  readonly size?: string;
}

/** One header and its data, as POSIX ustar has them. */
function tarEntry({ name, data = '', type = '0', size }: Entry): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0, 'latin1');
  header.write(size ?? data.length.toString(8).padStart(11, '0'), 124);
  header.write(type, 156);
  const body = Buffer.alloc(Math.ceil(data.length / 512) * 512);
  body.write(data, 'latin1');
  return Buffer.concat([header, body]);
}
const tarball = (...entries: Entry[]) =>
  gzipSync(Buffer.concat([...entries.map(tarEntry), Buffer.alloc(1024)]));

/** An npm whose registry has this archive; it leaves a mark each time that it is asked. */
function npmWith(archive: Uint8Array, script = 'cp "$ARCHIVE" "$4/node-linux-test-1.2.3.tgz"') {
  const bin = join(folder.path, 'bin');
  mkdirSync(bin);
  writeFileSync(join(folder.path, 'archive'), archive);
  writeFileSync(
    join(bin, 'npm'),
    `#!/bin/sh\necho "$*" >> ${folder.path}/asked\nARCHIVE=${folder.path}/archive\n${script}\n`,
  );
  chmodSync(join(bin, 'npm'), 0o755);
  vi.stubEnv('PATH', `${bin}:${process.env.PATH}`);
  const integrity = `sha512-${createHash('sha512').update(archive).digest('base64')}`;
  return { name: 'node-linux-test', version: '1.2.3', integrity };
}
const good = tarball({ name: 'package/README', data: 'x' }, { name: 'package/bin/node', data: 'a program' });

describe('a package of the registry', () => {
  it('is fetched once with npm, at its exact version, and only the wanted files are kept', async () => {
    const wanted = npmWith(good);
    const place = await fetchPackage(wanted, ['bin/node']);
    expect(readFileSync(join(place, 'bin/node'), 'utf8')).toBe('a program');
    expect(readdirSync(place)).toEqual(['bin']);
    expect(await fetchPackage(wanted, ['bin/node'])).toBe(place);
    expect(readFileSync(join(folder.path, 'asked'), 'utf8')).toMatch(/^pack node-linux-test@1\.2\.3 .*\n$/);
  });

  it('with other bytes than pinned is neither used nor kept', async () => {
    const wanted = { ...npmWith(good), integrity: `sha512-${'A'.repeat(86)}==` };
    await expect(fetchPackage(wanted, ['bin/node'])).rejects.toThrow(
      /DEPLOY_RUNTIME.*other bytes than pinned/,
    );
    expect(readdirSync(join(folder.path, 'cache', 'pynq-llm-deploy'))).toEqual([]);
  });

  it('writes nothing outside of its folder, whatever its names say', async () => {
    const wanted = npmWith(
      tarball(
        { name: 'package/../../../evil', data: 'x' },
        { name: '/etc/evil', data: 'x' },
        { name: 'package/bin/node', type: '2' },
        { name: 'package/bin/node', data: 'a program' },
      ),
    );
    const place = await fetchPackage(wanted, ['bin/node']);
    expect(readFileSync(join(place, 'bin/node'), 'utf8')).toBe('a program');
    expect(readdirSync(join(folder.path, 'cache'))).toEqual(['pynq-llm-deploy']);
    expect(existsSync(join(folder.path, 'evil'))).toBe(false);
  });

  it.each([
    ['is no archive', Buffer.from('not gzip'), /cannot be unpacked/],
    [
      'has a file of a negative size',
      tarball({ name: 'package/x', size: '-0000001000' }),
      /cannot be unpacked/,
    ],
    ['has a file of no size', tarball({ name: 'package/x', size: 'zzz' }), /cannot be unpacked/],
    [
      'has a file that goes beyond the end',
      tarball({ name: 'package/x', size: '77777777777' }),
      /cannot be unpacked/,
    ],
    ['lacks what is wanted', tarball({ name: 'package/x' }), /it has no bin\/node/],
    ['has only a link of that name', tarball({ name: 'package/bin/node', type: '1' }), /it has no bin\/node/],
  ])('that %s is refused', async (_, archive, message) => {
    await expect(fetchPackage(npmWith(archive), ['bin/node'])).rejects.toThrow(message);
  });

  it('says what npm said where it cannot be fetched', async () => {
    const wanted = npmWith(good, 'echo "npm error network down" >&2; exit 1');
    await expect(fetchPackage(wanted, ['bin/node'])).rejects.toThrow(
      /DEPLOY_RUNTIME.*npm error network down/,
    );
  });
});
