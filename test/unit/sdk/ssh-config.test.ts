import { mkdirSync, writeFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { resolveTarget } from '../../../sdk/ssh/client-config.js';
import { temporaryDirectory } from '../../system/support/agent.js';
import { hasSsh } from '../../system/support/sshd.js';

let folder: ReturnType<typeof temporaryDirectory>;
const write = (name: string, text: string) => writeFileSync(join(folder.path, '.ssh', name), text);
const inHome = (name: string) => join(folder.path, name);

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

const READERS = [
  ...(hasSsh ? [['as ssh answers', process.env.PATH ?? ''] as const] : []),
  ['without ssh', '/nowhere'] as const,
];

describe.each(READERS)('the SSH configuration, read %s', (_, path) => {
  beforeEach(() => void vi.stubEnv('PATH', path));

  it('completes what the user left out: the first value counts', async () => {
    write(
      'config',
      `Host board*
  HostName 10.0.0.7
  User xilinx
  Port 2222
  HostKeyAlias My-Board
  IdentityFile ~/.ssh/for-%h
  IdentityFile "~/.ssh/a key"
  ProxyJump gate
  UserKnownHostsFile ~/.ssh/mine "~/.ssh/more" ~/.ssh/%n
Host *
  User nobody
  UserKnownHostsFile ~/.ssh/other
`,
    );
    const board = await resolveTarget({ host: 'board1' });
    expect(board).toMatchObject({ hostName: '10.0.0.7', port: 2222, user: 'xilinx', proxyJump: ['gate'] });
    expect(board.hostKeys).toMatchObject({
      name: 'my-board',
      plainName: undefined,
      checking: 'ask',
      userFiles: [inHome('.ssh/mine'), inHome('.ssh/more'), inHome('.ssh/board1')],
    });
    expect(board.login).toMatchObject({
      identityFiles: [inHome('.ssh/for-10.0.0.7'), inHome('.ssh/a key')],
      agentSocket: '/run/agent',
      identitiesOnly: false,
    });
    const named = await resolveTarget({ host: 'board1', user: 'root', port: 22 });
    expect(named).toMatchObject({ user: 'root', port: 22 });
  });

  it('without a file has the usual keys and files', async () => {
    const { hostName, port, hostKeys, login } = await resolveTarget({ host: 'pynq' });
    expect({ hostName, port }).toEqual({ hostName: 'pynq', port: 22 });
    expect(login.identityFiles).toContain(inHome('.ssh/id_ed25519'));
    expect(hostKeys.userFiles[0]).toBe(inHome('.ssh/known_hosts'));
    expect(hostKeys.globalFiles).toContain('/etc/ssh/ssh_known_hosts');
  });

  it('follows Include: relative, patterns, within a section, one in the other', async () => {
    mkdirSync(inHome('.ssh/d'));
    write('d/1.conf', 'Host one\n  Port 2201\nInclude deeper\n');
    write('d/2.conf', 'Host one two\n  Port 2202\n');
    write('d/ignored', 'Host *\n  Port 9\n');
    write('deeper', 'User of-deeper\n');
    write('inner', 'Host *\n  HostName inner.example\n');
    write('config', 'Include d/*.conf\nHost two\n  Include ~/.ssh/inner\nHost *\n  User last\n');
    write('deeper', 'Host two\n  User of-deeper\n');
    const of = async (host: string) => {
      const { hostName, port, user } = await resolveTarget({ host });
      return [hostName, port, user];
    };
    expect(await of('one')).toEqual(['one', 2201, 'last']);
    // In 1.conf the Include stands below `Host one`, which `two` is not.
    expect(await of('two')).toEqual(['inner.example', 2202, 'last']);
    expect(await of('three')).toEqual(['three', 22, 'last']);
  });

  it('follows Match by host, originalhost and user', async () => {
    write(
      'config',
      `Host a
  HostName a.example
Match host a.example user root
  Port 2001
Match originalhost a !user root
  Port 2002
Match all
  Port 2003
`,
    );
    const port = async (host: string, user: string) => (await resolveTarget({ host, user })).port;
    expect(await port('a', 'root')).toBe(2001);
    expect(await port('a', 'other')).toBe(2002);
    expect(await port('b', 'root')).toBe(2003);
  });

  it('knows StrictHostKeyChecking in all its values', async () => {
    const values = { yes: 'yes', no: 'no', off: 'no', ask: 'ask', 'accept-new': 'accept-new' };
    for (const [value, checking] of Object.entries(values)) {
      write('config', `StrictHostKeyChecking ${value}\n`);
      expect((await resolveTarget({ host: 'a' })).hostKeys.checking).toBe(checking);
    }
  });

  it('names a host in known_hosts by its port, and by nothing but HostKeyAlias where there is one', async () => {
    write('config', 'Host a\n  HostKeyAlias the-board\nHost *\n  Port 2222\n');
    expect((await resolveTarget({ host: 'a' })).hostKeys).toMatchObject({
      name: 'the-board',
      plainName: undefined,
    });
    expect((await resolveTarget({ host: 'b' })).hostKeys).toMatchObject({ name: '[b]:2222', plainName: 'b' });
  });

  it('leaves the agent alone with IdentityAgent none, and restricts it with IdentitiesOnly', async () => {
    vi.stubEnv('OTHER_AGENT', '/run/other');
    write(
      'config',
      'Host a\n  IdentitiesOnly yes\nHost b\n  IdentityAgent none\nHost c\n  IdentityAgent $OTHER_AGENT\nHost d\n  IdentityAgent ~/s\n',
    );
    const login = async (host: string) => (await resolveTarget({ host })).login;
    expect(await login('a')).toMatchObject({ agentSocket: '/run/agent', identitiesOnly: true });
    expect((await login('b')).agentSocket).toBeUndefined();
    expect((await login('c')).agentSocket).toBe('/run/other');
    expect((await login('d')).agentSocket).toBe(inHome('s'));
  });

  it('puts in what tokens and variables stand for', async () => {
    vi.stubEnv('KEYS', '/keys');
    write(
      'config',
      `Host a
  HostName %h.example
  IdentityFile \${KEYS}/%u-%r-%p-%n-%L-%%
  ProxyCommand "/usr/bin/go to" --host %h --port %p '%n' %r %%
Host b
  IdentityFile ~/%d
`,
    );
    const { hostName, login, proxyCommand } = await resolveTarget({ host: 'a', user: 'me', port: 7 });
    expect(hostName).toBe('a.example');
    const local = hostname().replace(/\..*/, '');
    expect(login.identityFiles).toEqual([`/keys/${userInfo().username}-me-7-a-${local}-%`]);
    expect(proxyCommand).toBe(`"/usr/bin/go to" --host a.example --port 7 'a' me %`);
  });

  it('takes the first of ProxyCommand and ProxyJump, and none for neither', async () => {
    write(
      'config',
      'Host a\n  ProxyJump none\nHost b\n  ProxyCommand none\nHost c\n  ProxyJump u@x:3,y\nHost *\n  ProxyJump gate\n',
    );
    const proxy = async (host: string) => (await resolveTarget({ host })).proxyJump;
    expect(await proxy('a')).toEqual([]);
    expect(await proxy('c')).toEqual(['u@x:3', 'y']);
    expect(await proxy('d')).toEqual(['gate']);
  });

  it.each([
    ['KnownHostsCommand', 'KnownHostsCommand /bin/cat %H'],
    ['ProxyUseFdpass', 'ProxyCommand x\n  ProxyUseFdpass yes'],
    ['BindInterface', 'BindInterface eth9'],
    ['IdentityFile', 'IdentityFile ~/.ssh/%C'],
    ['IdentityFile', 'IdentityFile ~root/key'],
  ])('refuses what it cannot follow by name: %s', async (name, line) => {
    write('config', `Host a\n  ${line}\n`);
    await expect(resolveTarget({ host: 'a' })).rejects.toThrow(new RegExp(`SSH_CONFIG_UNSUPPORTED.*${name}`));
    await expect(resolveTarget({ host: 'b' })).resolves.toBeDefined();
  });

  it('that cannot be read as one is an error', async () => {
    write('config', `IdentityFile \${NOT_SET_AT_ALL}/x\n`);
    await expect(resolveTarget({ host: 'a' })).rejects.toThrow(/SSH_CONFIG/);
  });
});

describe('without ssh', () => {
  it.each([
    ['Match exec', 'Match exec "true"\n  Port 5\n'],
    ['Match localnetwork', 'Match localnetwork 10.0.0.0/8\n  Port 5\n'],
    ['CanonicalizeHostname', 'CanonicalizeHostname yes\n'],
  ])('%s is refused by its name', async (name, text) => {
    vi.stubEnv('PATH', '/nowhere');
    write('config', text);
    await expect(resolveTarget({ host: 'a' })).rejects.toThrow(
      new RegExp(`SSH_CONFIG_UNSUPPORTED.*${name}.*not installed`),
    );
  });
});

describe.skipIf(!hasSsh)('with ssh', () => {
  it('Match exec is followed', async () => {
    write('config', 'Match exec "test %n = a"\n  Port 5\n');
    expect((await resolveTarget({ host: 'a' })).port).toBe(5);
    expect((await resolveTarget({ host: 'b' })).port).toBe(22);
  });

  it('what ssh says of a bad file is the error', async () => {
    write('config', 'NoSuchDirective 1\n');
    await expect(resolveTarget({ host: 'a' })).rejects.toThrow(/SSH_CONFIG.*nosuchdirective/i);
  });
});
