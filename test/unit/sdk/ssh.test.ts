import { createHmac, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { resolveTarget } from '../../../sdk/ssh/client-config.js';
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

describe('~/.ssh/config', () => {
  it('completes what the user left out, as OpenSSH does: the first value counts', () => {
    write(
      'config',
      `Host board*
  HostName 10.0.0.7
  User xilinx
  Port 2222
  HostKeyAlias my-board
  IdentityFile ~/.ssh/for-%h
  IdentityFile "~/.ssh/a key"
  ProxyJump gate
Host *
  User nobody
  UserKnownHostsFile ~/.ssh/other
`,
    );
    expect(resolveTarget({ host: 'board1' })).toEqual({
      hostName: '10.0.0.7',
      port: 2222,
      user: 'xilinx',
      hostKeyName: 'my-board',
      identityFiles: [join(homedir(), '.ssh/for-10.0.0.7'), join(homedir(), '.ssh/a key')],
      agentSocket: '/run/agent',
      knownHostsFiles: [join(homedir(), '.ssh/other'), '/etc/ssh/ssh_known_hosts'],
      proxyJump: 'gate',
    });
    expect(resolveTarget({ host: 'board1', user: 'root', port: 22 })).toMatchObject({
      user: 'root',
      port: 22,
    });
  });

  it('without one there are the usual keys and files', () => {
    const { identityFiles, knownHostsFiles, hostName, port } = resolveTarget({ host: 'Pynq' });
    expect({ hostName, port }).toEqual({ hostName: 'Pynq', port: 22 });
    expect(identityFiles).toContain(join(folder.path, '.ssh', 'id_ed25519'));
    expect(knownHostsFiles[0]).toBe(join(folder.path, '.ssh', 'known_hosts'));
  });

  it('IdentitiesOnly and IdentityAgent none leave the agent alone', () => {
    write('config', 'Host a\n  IdentitiesOnly yes\nHost b\n  IdentityAgent none\n');
    expect(resolveTarget({ host: 'a' }).agentSocket).toBeUndefined();
    expect(resolveTarget({ host: 'b' }).agentSocket).toBeUndefined();
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
    expect(lookUpHost([file], 'pynq')).toEqual({ keys: [], revoked: new Set([key.toString('base64')]) });
  });
});

describe('the key of a host', () => {
  const key = publicKey();
  const line = `pynq ssh-ed25519 ${key.toString('base64')}\n`;
  const check = (shown: Buffer, options: ConstructorParameters<typeof HostKeyCheck>[1] = {}) =>
    new HostKeyCheck(resolveTarget({ host: 'pynq' }), options).check(shown);
  const saying = (answer: boolean) => ({ confirmHostKey: async () => answer, secret: async () => undefined });

  it('that is known needs no question', async () => {
    write('known_hosts', line);
    await expect(check(key, { prompts: saying(false) })).resolves.toBeUndefined();
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
    const { algorithms } = new HostKeyCheck(resolveTarget({ host: 'pynq' }), {});
    expect(algorithms[0]).toBe('ecdsa-sha2-nistp256');
    expect(algorithms).not.toContain('ssh-rsa');
  });
});
