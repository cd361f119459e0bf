import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './free-port.js';
import { lacking } from './required-packages.js';
import { makeSshKey } from './ssh-key.js';

const SSHD = '/usr/sbin/sshd';
const START_MS = 10_000;

/** Why no SSH server can be started here; undefined if one can. */
export const noSshd = existsSync(SSHD)
  ? undefined
  : lacking(`${SSHD} is not installed (apt: openssh-server)`);

/** Whether OpenSSH's client is here. */
export const hasSsh = spawnSync('ssh', ['-V']).status === 0;

export interface TestSshd extends AsyncDisposable {
  readonly port: number;
  readonly user: string;
  /** A home folder for the client: .ssh with the key and a configuration that hashes no names. */
  readonly home: string;
  /** A private key that may log in. */
  readonly keyFile: string;
  /** `SHA256:…` of the host key. */
  readonly fingerprint: string;
  /** Line of known_hosts for this server. */
  readonly knownHostsLine: string;
  /** Starts again at the same port with another host key. */
  changeHostKey(): Promise<void>;
}

/** Why no server can have mounts of its own here; undefined if one can. */
export const noPrivateMounts =
  userInfo().uid !== 0
    ? 'only root may mount'
    : spawnSync('unshare', ['--mount', 'true']).status === 0
      ? undefined
      : 'this machine lets nobody unshare mounts';

/**
 * A real OpenSSH server on loopback, run by and for the current user.
 * @param config further lines of sshd_config
 * @param mounts shell commands that mount what only this server and its logins see; see `noPrivateMounts`
 */
export async function startSshd(config: readonly string[] = [], mounts?: string): Promise<TestSshd> {
  const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-sshd-'));
  const home = join(folder, 'home');
  mkdirSync(join(home, '.ssh'), { recursive: true, mode: 0o700 });
  // The system's file may say otherwise, and tests read what is written.
  writeFileSync(join(home, '.ssh', 'config'), 'HashKnownHosts no\n', { mode: 0o600 });
  const keyFile = join(home, '.ssh', 'id_ed25519');
  makeSshKey(keyFile);
  const authorized = join(folder, 'authorized_keys');
  writeFileSync(authorized, readFileSync(`${keyFile}.pub`), { mode: 0o600 });
  const hostKey = join(folder, 'host_key');
  makeSshKey(hostKey);
  // The unprivileged process of a server that root runs lives here.
  if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const port = await freePort();
  const configFile = join(folder, 'sshd_config');
  const lines = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${hostKey}`,
    `PidFile ${join(folder, 'pid')}`,
    `AuthorizedKeysFile ${authorized}`,
    'StrictModes no',
    'PermitRootLogin yes',
    'PermitUserRC no',
    'MaxStartups 100',
    ...config,
  ];
  writeFileSync(configFile, `${lines.join('\n')}\n`);
  let server = await run(configFile, mounts);
  const stop = async () => {
    if (server.exitCode !== null) return;
    server.kill();
    await once(server, 'exit');
  };
  const publicKey = () => readFileSync(`${hostKey}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
  return {
    port,
    user: userInfo().username,
    home,
    keyFile,
    get fingerprint() {
      return execFileSync('ssh-keygen', ['-lf', `${hostKey}.pub`], { encoding: 'utf8' }).split(' ')[1];
    },
    get knownHostsLine() {
      return `[127.0.0.1]:${port} ${publicKey()}\n`;
    },
    changeHostKey: async () => {
      await stop();
      rmSync(hostKey);
      rmSync(`${hostKey}.pub`);
      makeSshKey(hostKey);
      server = await run(configFile, mounts);
    },
    [Symbol.asyncDispose]: async () => {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function run(configFile: string, mounts: string | undefined) {
  // -D: stays a child of this process; -e: says on standard error what goes wrong.
  const command = [SSHD, '-D', '-e', '-f', configFile];
  const inMounts = ['unshare', '--mount', 'sh', '-ec', `${mounts}\nexec "$@"`, 'sh', ...command];
  const [program, ...args] = mounts === undefined ? command : inMounts;
  const server = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  server.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4_000);
  });
  for (const end = Date.now() + START_MS; ; await delay(20)) {
    if (said.includes('Server listening on')) return server;
    if (server.exitCode !== null || Date.now() > end) throw new Error(`sshd does not start: ${said}`);
  }
}
