import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSshKey } from './support/ssh-key.js';
import { hasSsh, noPrivateMounts, noSshd, startSshd, type TestSshd } from './support/sshd.js';

const reason = noSshd ?? noPrivateMounts ?? (hasSsh ? undefined : 'OpenSSH has no client here');
const title = `what ~/.ssh/config says${reason === undefined ? '' : ` (${reason})`}`;
const MAIN = resolve('dist/test/system/support/reach-main.js');
const LONGEST_MS = 120_000;

/** What the home folder's .ssh holds for one case, and how ssh and the product have to end. */
interface Case {
  readonly config: string;
  readonly files?: Readonly<Record<string, string>>;
  /** Private keys that the agent has, in order; without it there is no agent. */
  readonly agent?: readonly string[];
  /** What is named; `board` unless given. */
  readonly host?: string;
  /** The code of the product's refusal, where ssh refuses too. */
  readonly refused?: string;
  /** Looked at afterwards. */
  readonly knownHosts?: RegExp;
}

describe.skipIf(reason !== undefined)(title, () => {
  let sshd: TestSshd;
  /** Keys: the one that may log in, another one that may, and strangers. */
  let keys: string;
  let agentPid: number | undefined;
  let agentSocket: string;
  let products: ChildProcess | undefined;
  /** `KEYTYPE BASE64` of the server, and of nobody. */
  let hostKey: string;
  let otherKey: string;

  const publicKey = (file: string) => readFileSync(`${file}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
  const key = (name: string) => join(keys, name);

  beforeAll(async () => {
    // A client that shows six wrong keys is not heard any further.
    sshd = await startSshd(['MaxAuthTries 3']);
    keys = mkdtempSync(join(tmpdir(), 'pynq-llm-keys-'));
    renameSync(sshd.keyFile, key('good'));
    renameSync(`${sshd.keyFile}.pub`, key('good.pub'));
    for (const name of ['a', 'b', 'c', 'd', 'host']) makeSshKey(key(name));
    hostKey = sshd.knownHostsLine.trim().split(' ').slice(1).join(' ');
    otherKey = publicKey(key('host'));
    agentSocket = join(keys, 'agent.sock');
    const said = spawnSync('ssh-agent', ['-a', agentSocket, '-s'], { encoding: 'utf8' }).stdout;
    agentPid = Number(/SSH_AGENT_PID=(\d+)/.exec(said)?.[1]);
  });
  afterAll(async () => {
    products?.kill();
    if (agentPid !== undefined) process.kill(agentPid);
    await sshd?.[Symbol.asyncDispose]();
    rmSync(keys, { recursive: true, force: true });
  });

  const prepare = ({ config, files = {}, agent }: Case) => {
    const folder = join(sshd.home, '.ssh');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { mode: 0o700 });
    const known = files.known_hosts ?? `[127.0.0.1]:${sshd.port} ${hostKey}\n`;
    for (const [name, text] of Object.entries({ config, known_hosts: known, ...files })) {
      mkdirSync(join(folder, name, '..'), { recursive: true });
      writeFileSync(join(folder, name), text, { mode: 0o600 });
    }
    const env = { ...process.env, SSH_AUTH_SOCK: agentSocket };
    spawnSync('ssh-add', ['-D'], { env });
    for (const name of agent ?? []) spawnSync('ssh-add', ['-q', key(name)], { env });
  };

  /** A program whose user has the prepared folder for a home, as the user database says it. */
  const atHome = (command: readonly string[]) => {
    const { homedir } = userInfo();
    const script = `mount --bind '${sshd.home}' '${homedir}'\nexec "$@"`;
    const env = { PATH: process.env.PATH, HOME: homedir, SSH_AUTH_SOCK: agentSocket, GATE: 'gate' };
    return spawn('unshare', ['--mount', 'sh', '-ec', script, 'sh', ...command], { env });
  };
  const ssh = async (host: string) => {
    const child = atHome(['ssh', '-o', 'BatchMode=yes', host, 'echo reached']);
    child.stdin.end();
    child.stderr.resume();
    const [stdout, [status]] = await Promise.all([text(child.stdout), once(child, 'close')]);
    return { stdout, status };
  };
  /** One process for all cases: its modules are loaded once. */
  const product = async (host: string) => {
    products ??= atHome([process.execPath, MAIN]);
    products.stdin?.write(`${host}\n`);
    const [line] = await once(products.stdout!.setEncoding('utf8'), 'data');
    return String(line);
  };

  const board = (more = '') => `Host board
  HostName 127.0.0.1
  Port ${sshd.port}
  User ${sshd.user}
  IdentityFile ${key('good')}
${more}`;

  const cases: Record<string, () => Case> = {
    'the host as it is': () => ({ config: board() }),
    'Include: relative, by pattern, absolute, in a section': () => ({
      config: `Include boards.d/*.conf\nHost board\n  Include ${'~'}/.ssh/login\n`,
      files: {
        'boards.d/1.conf': `Host board\n  HostName 127.0.0.1\n  Port ${sshd.port}\n`,
        login: `User ${sshd.user}\nIdentityFile ${key('good')}\n`,
      },
    }),
    'Match by originalhost, user and exec': () => ({
      config: `Match originalhost board exec "test %n = board"\n  HostName 127.0.0.1\n  User ${sshd.user}\n
Match host 127.0.0.1 user ${sshd.user}\n  Port ${sshd.port}\n  IdentityFile ${key('good')}\n`,
    }),
    'Match exec that fails': () => ({
      config: `Match exec "false"\n  IdentityFile ${key('good')}\n${board().replace(/.*IdentityFile.*\n/, '')}`,
      refused: 'SSH_AUTH_FAILED',
    }),
    'ProxyJump with the configuration of the hop': () => ({
      config: `${board('  ProxyJump gate\n')}Host gate\n  HostName 127.0.0.1\n  Port ${sshd.port}\n  IdentityFile ${key('good')}\n`,
    }),
    'ProxyJump over two hosts, one after the other': () => ({
      config: `${board('  ProxyJump gate,second\n')}Host second\n  HostName 127.0.0.1
Host gate second\n  HostName localhost\n  HostKeyAlias gates\n  Port ${sshd.port}\n  IdentityFile ${key('good')}\n`,
      files: { known_hosts: `[127.0.0.1]:${sshd.port} ${hostKey}\ngates ${hostKey}\n` },
    }),
    'ProxyJump to a hop that may not be trusted': () => ({
      config: `${board('  ProxyJump gate\n')}Host gate\n  HostName 127.0.0.1\n  HostKeyAlias forged\n  Port ${sshd.port}\n  IdentityFile ${key('good')}\n`,
      files: { known_hosts: `[127.0.0.1]:${sshd.port} ${hostKey}\nforged ${otherKey}\n` },
      refused: 'SSH_HOST_KEY_CHANGED',
    }),
    'ProxyJump none before one for all': () => ({
      config: `${board('  ProxyJump none\n')}Host *\n  ProxyJump nowhere.invalid\n`,
    }),
    'ProxyCommand with tokens and a variable of the environment': () => ({
      config: `${board('  ProxyCommand ssh -o BatchMode=yes -W %h:%p $GATE\n')}Host gate\n  HostName 127.0.0.1\n  Port ${sshd.port}\n  IdentityFile ${key('good')}\n`,
    }),
    'ProxyCommand that fails': () => ({
      config: board('  ProxyCommand echo no way through >&2; exit 7\n'),
      refused: 'SSH_UNREACHABLE',
    }),
    'HostKeyAlias without a port': () => ({
      config: board('  HostKeyAlias my-board\n'),
      files: { known_hosts: `my-board ${hostKey}\n` },
    }),
    'HostKeyAlias whose line has a port': () => ({
      config: board('  HostKeyAlias my-board\n'),
      files: { known_hosts: `[my-board]:${sshd.port} ${hostKey}\n` },
      refused: 'SSH_HOST_KEY_UNKNOWN',
    }),
    'known_hosts by the plain name, where the port has no line': () => ({
      config: board(),
      files: { known_hosts: `127.0.0.1 ${hostKey}\n` },
    }),
    'known_hosts by the plain name of another key': () => ({
      config: board(),
      files: { known_hosts: `127.0.0.1 ${otherKey}\n` },
      refused: 'SSH_HOST_KEY_UNKNOWN',
    }),
    'a line of the port before one of the plain name': () => ({
      config: board(),
      files: { known_hosts: `127.0.0.1 ${hostKey}\n[127.0.0.1]:${sshd.port} ${otherKey}\n` },
      refused: 'SSH_HOST_KEY_CHANGED',
    }),
    'a key that is revoked': () => ({
      config: board(),
      files: { known_hosts: `[127.0.0.1]:${sshd.port} ${hostKey}\n@revoked * ${hostKey}\n` },
      refused: 'SSH_HOST_KEY_CHANGED',
    }),
    'a key of RevokedHostKeys': () => ({
      config: board('  RevokedHostKeys ~/.ssh/revoked\n'),
      files: { revoked: `${hostKey}\n` },
      refused: 'SSH_HOST_KEY_CHANGED',
    }),
    'UserKnownHostsFile with two files and a token': () => ({
      config: board('  UserKnownHostsFile ~/.ssh/none ~/.ssh/known-%n\n'),
      files: { known_hosts: '', 'known-board': `[127.0.0.1]:${sshd.port} ${hostKey}\n` },
    }),
    'StrictHostKeyChecking ask, with nobody to ask': () => ({
      config: board(),
      files: { known_hosts: '' },
      refused: 'SSH_HOST_KEY_UNKNOWN',
      knownHosts: /^$/,
    }),
    'StrictHostKeyChecking yes': () => ({
      config: board('  StrictHostKeyChecking yes\n'),
      files: { known_hosts: '' },
      refused: 'SSH_HOST_KEY_UNKNOWN',
      knownHosts: /^$/,
    }),
    'StrictHostKeyChecking accept-new with a new key': () => ({
      config: board('  StrictHostKeyChecking accept-new\n  HashKnownHosts no\n'),
      files: { known_hosts: '' },
      knownHosts: /^\[127\.0\.0\.1\]:\d+ ssh-ed25519 /,
    }),
    'StrictHostKeyChecking accept-new with another key than the known one': () => ({
      config: board('  StrictHostKeyChecking accept-new\n'),
      files: { known_hosts: `[127.0.0.1]:${sshd.port} ${otherKey}\n` },
      refused: 'SSH_HOST_KEY_CHANGED',
    }),
    'StrictHostKeyChecking no with another key than the known one': () => ({
      config: board('  StrictHostKeyChecking no\n'),
      files: { known_hosts: `[127.0.0.1]:${sshd.port} ${otherKey}\n` },
    }),
    HashKnownHosts: () => ({
      config: board('  StrictHostKeyChecking accept-new\n  HashKnownHosts yes\n'),
      files: { known_hosts: '' },
      knownHosts: /^\|1\|/,
    }),
    NoHostAuthenticationForLocalhost: () => ({
      config: board('  NoHostAuthenticationForLocalhost yes\n'),
      files: { known_hosts: `[127.0.0.1]:${sshd.port} ${otherKey}\n` },
    }),
    'IdentitiesOnly with a public key whose other half the agent has, behind others': () => ({
      config: board('  IdentitiesOnly yes\n').replace(/IdentityFile .*/, 'IdentityFile ~/.ssh/only.pub'),
      files: { 'only.pub': readFileSync(key('good.pub'), 'utf8') },
      agent: ['a', 'b', 'c', 'd', 'good'],
    }),
    'IdentitiesOnly without the public key': () => ({
      config: board('  IdentitiesOnly yes\n').replace(/IdentityFile .*/, 'IdentityFile ~/.ssh/a.pub'),
      files: { 'a.pub': readFileSync(key('a.pub'), 'utf8') },
      agent: ['a', 'good'],
      refused: 'SSH_AUTH_FAILED',
    }),
    'the agent beside a public key that the configuration names': () => ({
      config: board().replace(/IdentityFile .*/, 'IdentityFile ~/.ssh/a.pub'),
      files: { 'a.pub': readFileSync(key('a.pub'), 'utf8') },
      agent: ['a', 'good'],
    }),
    'a named public key before the many others of the agent': () => ({
      config: board().replace(/IdentityFile .*/, 'IdentityFile ~/.ssh/only.pub'),
      files: { 'only.pub': readFileSync(key('good.pub'), 'utf8') },
      agent: ['a', 'b', 'c', 'd', 'good'],
    }),
    'IdentityAgent none': () => ({
      config: board('  IdentityAgent none\n').replace(/IdentityFile .*/, 'IdentityFile ~/.ssh/only.pub'),
      files: { 'only.pub': readFileSync(key('good.pub'), 'utf8') },
      agent: ['good'],
      refused: 'SSH_AUTH_FAILED',
    }),
    'PubkeyAuthentication no': () => ({
      config: board('  PubkeyAuthentication no\n'),
      refused: 'SSH_AUTH_FAILED',
    }),
    'a directive that does not exist': () => ({ config: board('  NoSuchThing 1\n'), refused: 'SSH_CONFIG' }),
    'the user and the port of the command line before the file': () => ({
      config: board()
        .replace(/User .*/, 'User nobody-here')
        .replace(/Port .*/, 'Port 1'),
      host: `ssh://${sshd.user}@board:${sshd.port}`,
    }),
  };

  it.each(Object.keys(cases))(
    '%s: the product reaches what ssh reaches',
    async (name) => {
      const one = cases[name]!();
      const { host = 'board', refused, knownHosts } = one;
      const afterwards = () => readFileSync(join(sshd.home, '.ssh', 'known_hosts'), 'utf8');
      prepare(one);
      const bySsh = await ssh(host);
      expect(bySsh).toMatchObject(
        refused === undefined ? { status: 0, stdout: 'reached\n' } : { status: 255 },
      );
      if (knownHosts !== undefined) expect(afterwards()).toMatch(knownHosts);
      prepare(one);
      const byProduct = await product(host);
      expect(byProduct).toMatch(refused === undefined ? /^reached\n$/ : new RegExp(`^${refused} `));
      if (knownHosts !== undefined) expect(afterwards()).toMatch(knownHosts);
    },
    LONGEST_MS,
  );

  it('a failing ProxyCommand is quoted, and one that says nothing is ended at the deadline', async () => {
    prepare({ config: board(`  ProxyCommand sh -c 'echo no way through >&2; exit 7'\n`) });
    const failed = await product('board');
    expect(failed).toMatch(/SSH_UNREACHABLE.*ProxyCommand: it ended with status 7; it says: no way through/);
    prepare({ config: board(`  ConnectTimeout 1\n  ProxyCommand sleep 61.5 && echo\n`) });
    const late = await product('board');
    expect(late).toMatch(/SSH_TIMEOUT.*did not answer within 1000 ms/);
    expect(spawnSync('pgrep', ['-f', 'sleep 61.5'], { encoding: 'utf8' }).stdout).toBe('');
  });

  it('a ProxyCommand ends with the connection', async () => {
    // It does not end by itself when its input does.
    const relay = join(keys, 'relay.cjs');
    writeFileSync(
      relay,
      `const socket = require('node:net').connect(${sshd.port}, '127.0.0.1');
process.stdin.on('data', (bytes) => socket.write(bytes));
socket.on('data', (bytes) => process.stdout.write(bytes));
setInterval(() => {}, 1000);\n`,
    );
    prepare({ config: board(`  ProxyCommand ${process.execPath} ${relay}\n`) });
    expect(await product('board')).toBe('reached\n');
    await expect.poll(() => spawnSync('pgrep', ['-f', relay], { encoding: 'utf8' }).stdout).toBe('');
  });

  it('a certificate authority in known_hosts is not followed, and named', async () => {
    prepare({ config: board(), files: { known_hosts: `@cert-authority * ${otherKey}\n` } });
    expect(await product('board')).toMatch(/^SSH_CONFIG_UNSUPPORTED .*known_hosts:1.*@cert-authority/);
  });

  it('works the same where HOME is another folder than that of the user database', async () => {
    prepare({ config: 'Include more\n', files: { more: board() } });
    const env = { PATH: process.env.PATH, HOME: sshd.home };
    const child = spawn(process.execPath, [MAIN], { env, stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.end('board\n');
    expect(await text(child.stdout)).toBe('reached\n');
  });
});
