import { createHmac, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HostKeyRules } from '../../../sdk/ssh/client-config.js';
import { HostKeyCheck } from '../../../sdk/ssh/host-key.js';
import { parseSshTarget, parseSshUrl, quote } from '../../../sdk/ssh/index.js';
import { fingerprint, lookUpHost } from '../../../sdk/ssh/known-hosts.js';
import { temporaryDirectory } from '../../system/support/agent.js';

let folder: ReturnType<typeof temporaryDirectory>;
const write = (name: string, text: string) => {
  const file = join(folder.path, '.ssh', name);
  writeFileSync(file, text);
  return file;
};

beforeEach(() => {
  folder = temporaryDirectory();
  mkdirSync(join(folder.path, '.ssh'));
  vi.stubEnv('HOME', folder.path);
  vi.stubEnv('SSH_AUTH_SOCK', '/run/agent');
});
afterEach(() => {
  vi.unstubAllEnvs();
  folder[Symbol.dispose]();
});

/** A public key as it goes over the wire: its type, then something. */
function publicKey(type = 'ssh-ed25519'): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(type.length);
  return Buffer.concat([length, Buffer.from(type), randomBytes(36)]);
}

describe('a board as its user names it', () => {
  it.each([
    ['pynq', { host: 'pynq' }],
    ['xilinx@pynq', { user: 'xilinx', host: 'pynq' }],
    ['ssh://xilinx@192.168.2.99:2222/', { user: 'xilinx', host: '192.168.2.99', port: 2222 }],
    ['root@[fe80::1%eth0]:22', { user: 'root', host: 'fe80::1%eth0', port: 22 }],
  ])('%s is read', (text, target) => {
    expect(parseSshTarget(text)).toMatchObject(target);
  });

  it.each([
    '',
    '@pynq',
    'a b',
    '-oProxyCommand=evil',
    'x@-oProxyCommand=evil',
    'pynq:0',
    'pynq:65536',
    'pynq/x',
  ])('"%s" is refused', (text) => {
    expect(() => parseSshTarget(text)).toThrow(/SSH_TARGET/);
  });

  it('a password in a URL is not shown in the error', () => {
    expect(() => parseSshUrl('ssh://xilinx:secret@pynq')).toThrow(/SSH_TARGET/);
    expect(() => parseSshUrl('ssh://xilinx:secret@pynq')).not.toThrow(/secret/);
  });

  it('a URL names a socket or a port of the board', () => {
    expect(parseSshUrl('ssh://pynq').agent).toBe('/run/pynq-llm/agent.sock');
    expect(parseSshUrl('ssh://pynq/tmp/a.sock').agent).toBe('/tmp/a.sock');
    expect(parseSshUrl('ssh://pynq?port=7787').agent).toBe(7787);
    expect(() => parseSshUrl('ssh://pynq/tmp/a.sock?port=7787')).toThrow(/SSH_TARGET/);
  });

  it("nothing is special in a quoted word of the board's shell", () => {
    expect(quote('plain/word-1.0')).toBe('plain/word-1.0');
    expect(quote("it's $(reboot); \n`x`")).toBe("'it'\\''s $(reboot); \n`x`'");
  });
});

describe('known_hosts', () => {
  const key = publicKey();
  const line = `ssh-ed25519 ${key.toString('base64')}`;
  const isKnown = (text: string, name: string) =>
    lookUpHost([write('known_hosts', text)], name).keys.length === 1;

  it.each([
    ['its name', 'pynq', 'pynq', true],
    ['another name', 'pynq2', 'pynq', false],
    ['a list', 'a,pynq,b', 'pynq', true],
    ['a pattern', '192.168.2.*', '192.168.2.99', true],
    ['a pattern whose dot is a dot', '192.168.2.99', '192x168.2.99', false],
    ['a pattern with an exception', '192.168.*,!192.168.2.99', '192.168.2.99', false],
    ['another port', 'pynq', '[pynq]:2222', false],
    ['its port', '[pynq]:2222', '[pynq]:2222', true],
  ])('finds a host by %s', (_, hosts, name, found) => {
    expect(isKnown(`# comment\n\n${hosts} ${line} a comment\n`, name)).toBe(found);
  });

  it('finds a host by its hashed name', () => {
    const salt = randomBytes(20);
    const hash = createHmac('sha1', salt).update('pynq').digest('base64');
    expect(isKnown(`|1|${salt.toString('base64')}|${hash} ${line}\n`, 'pynq')).toBe(true);
    expect(isKnown(`|1|${salt.toString('base64')}|${hash} ${line}\n`, 'other')).toBe(false);
  });

  it('knows revoked keys from others, and authorities from hosts', () => {
    const file = write('known_hosts', `@revoked * ${line}\n@cert-authority * ${line}\n`);
    expect(lookUpHost([file], 'pynq')).toEqual({
      keys: [],
      revoked: new Set([key.toString('base64')]),
      authorities: [`${file}:2`],
    });
  });
});

describe('the key of a host', () => {
  const key = publicKey();
  const line = `pynq ssh-ed25519 ${key.toString('base64')}\n`;
  const rules = (changes: Partial<HostKeyRules> = {}): HostKeyRules => ({
    name: 'pynq',
    plainName: undefined,
    port: 22,
    checking: 'ask',
    checkAddress: false,
    trustsLoopback: false,
    userFiles: [join(folder.path, '.ssh', 'known_hosts')],
    globalFiles: [],
    hashNames: false,
    revokedFile: undefined,
    algorithms: undefined,
    notFollowed: [],
    ...changes,
  });
  const check = (
    shown: Buffer,
    options: ConstructorParameters<typeof HostKeyCheck>[1] = {},
    changes: Partial<HostKeyRules> = {},
    address?: string,
  ) => new HostKeyCheck(rules(changes), options).check(shown, { address });
  const saying = (answer: boolean) => ({ confirmHostKey: async () => answer, secret: async () => undefined });

  it('that is known needs no question', async () => {
    write('known_hosts', line);
    await expect(check(key, { prompts: saying(false) })).resolves.toBe('trusted');
  });

  it('that changed is refused, whatever the user or a fingerprint says', async () => {
    write('known_hosts', line);
    const other = publicKey();
    await expect(check(other, { prompts: saying(true) })).rejects.toThrow(
      /SSH_HOST_KEY_CHANGED.*known_hosts:1/,
    );
    await expect(check(other, { hostKey: fingerprint(other) })).rejects.toThrow(/SSH_HOST_KEY_CHANGED/);
    expect(readFileSync(join(folder.path, '.ssh', 'known_hosts'), 'utf8')).toBe(line);
  });

  it('that is revoked is refused, also where it is known', async () => {
    write('known_hosts', `${line}@revoked ${line}`);
    await expect(check(key)).rejects.toThrow(/SSH_HOST_KEY_CHANGED.*revoked/);
  });

  it('that is new is asked for, and remembered after a yes', async () => {
    await expect(check(key)).rejects.toThrow(/SSH_HOST_KEY_UNKNOWN/);
    await expect(check(key, { prompts: saying(false) })).rejects.toThrow(/SSH_HOST_KEY_UNKNOWN/);
    await check(key, { prompts: saying(true) });
    const file = join(folder.path, '.ssh', 'known_hosts');
    expect(readFileSync(file, 'utf8')).toBe(line);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('goes behind the last line of a file that has no line break at its end', async () => {
    write('known_hosts', 'other ssh-ed25519 AAAA');
    await check(key, { hostKey: fingerprint(key) });
    expect(readFileSync(join(folder.path, '.ssh', 'known_hosts'), 'utf8')).toBe(
      `other ssh-ed25519 AAAA\n${line}`,
    );
  });

  it('is asked for in the types that are known, so that another type does not look new', () => {
    write('known_hosts', `pynq ecdsa-sha2-nistp256 ${publicKey('ecdsa-sha2-nistp256').toString('base64')}\n`);
    const { algorithms } = new HostKeyCheck(rules(), {});
    expect(algorithms[0]).toBe('ecdsa-sha2-nistp256');
    expect(algorithms).not.toContain('ssh-rsa');
  });

  it('is met as StrictHostKeyChecking says', async () => {
    const file = () => readFileSync(join(folder.path, '.ssh', 'known_hosts'), 'utf8');
    write('known_hosts', '');
    const yes = { prompts: saying(true) };
    await expect(check(key, yes, { checking: 'yes' })).rejects.toThrow(/SSH_HOST_KEY_UNKNOWN/);
    await expect(check(key, {}, { checking: 'accept-new' })).resolves.toBe('trusted');
    expect(file()).toBe(line);
    const other = publicKey();
    await expect(check(other, {}, { checking: 'accept-new' })).rejects.toThrow(/SSH_HOST_KEY_CHANGED/);
    await expect(check(other, {}, { checking: 'no' })).resolves.toBe('doubtful');
    await expect(check(other, { hostKey: fingerprint(other) }, { checking: 'no' })).rejects.toThrow(
      /SSH_HOST_KEY_CHANGED/,
    );
    expect(file()).toBe(line);
  });

  it('counts by the plain name where the port has no line, and only if it is the same', async () => {
    write('known_hosts', line);
    const withPort = { name: '[pynq]:2222', plainName: 'pynq', port: 2222 };
    await expect(check(key, {}, withPort)).resolves.toBe('trusted');
    await expect(check(publicKey(), {}, withPort)).rejects.toThrow(/SSH_HOST_KEY_UNKNOWN/);
    write('known_hosts', `${line}[pynq]:2222 ssh-ed25519 ${publicKey().toString('base64')}\n`);
    await expect(check(key, {}, withPort)).rejects.toThrow(/SSH_HOST_KEY_CHANGED/);
  });

  it('of another type than the known one is new, not changed', async () => {
    write('known_hosts', line);
    const other = publicKey('ecdsa-sha2-nistp256');
    await expect(check(other)).rejects.toThrow(/SSH_HOST_KEY_UNKNOWN/);
  });

  it('is hashed into the file where the configuration wants that, and found again', async () => {
    await check(key, {}, { checking: 'accept-new', hashNames: true });
    expect(readFileSync(join(folder.path, '.ssh', 'known_hosts'), 'utf8')).toMatch(
      /^\|1\|[^ ]+ ssh-ed25519 /,
    );
    await expect(check(key)).resolves.toBe('trusted');
  });

  it('that only an authority vouches for is refused by the name of what is not followed', async () => {
    write('known_hosts', `@cert-authority pynq ${line.slice('pynq '.length)}`);
    await expect(check(publicKey(), { prompts: saying(true) })).rejects.toThrow(
      /SSH_CONFIG_UNSUPPORTED.*known_hosts:1.*@cert-authority/,
    );
  });

  it('in RevokedHostKeys is refused; a binary list is named, and a missing one ends it', async () => {
    write('known_hosts', line);
    const revokedFile = write('revoked', `ssh-ed25519 ${key.toString('base64')} a comment\n`);
    await expect(check(key, {}, { revokedFile, checking: 'no' })).rejects.toThrow(
      /SSH_HOST_KEY_CHANGED.*revoked/,
    );
    write('revoked', 'SSHKRL\n\0...');
    expect(() => check(key, {}, { revokedFile })).toThrow(/SSH_CONFIG_UNSUPPORTED.*RevokedHostKeys/);
    expect(() => check(key, {}, { revokedFile: '/nowhere' })).toThrow(/SSH_CONFIG/);
  });

  it('must not contradict the address where CheckHostIP is set, and is not needed on this machine where that is said', async () => {
    const other = publicKey();
    write('known_hosts', `${line}10.0.0.7 ssh-ed25519 ${other.toString('base64')}\n`);
    await expect(check(key, {}, {}, '10.0.0.7')).resolves.toBe('trusted');
    await expect(check(key, {}, { checkAddress: true }, '10.0.0.7')).rejects.toThrow(/10\.0\.0\.7.*expects/);
    await expect(check(other, {}, { trustsLoopback: true }, '127.0.0.1')).resolves.toBe('trusted');
    await expect(check(other, {}, { trustsLoopback: true }, '10.0.0.8')).rejects.toThrow(
      /SSH_HOST_KEY_CHANGED/,
    );
  });

  it('is negotiated among the algorithms that the configuration leaves', () => {
    const left = (algorithms: string[]) => new HostKeyCheck(rules({ algorithms }), {}).algorithms;
    expect(left(['ssh-ed25519-cert-v01@openssh.com', 'rsa-sha2-256'])).toEqual(['rsa-sha2-256']);
    expect(() => left(['ssh-rsa'])).toThrow(/SSH_CONFIG_UNSUPPORTED.*HostKeyAlgorithms/);
  });
});
