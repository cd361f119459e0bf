import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Deployer, type DeployResult, type InstalledRelease, openSsh } from '../../sdk/index.js';
import { bitFile, configuration, IDCODE_XCK26 } from '../unit/firmware-bridge/support/bitstreams.js';
import { cli } from './support/cli.js';
import type { DeployFolder } from './support/deploy-folder.js';
import { SshBoard } from './support/ssh-board.js';
import { noSshd, startSshd, type TestSshd } from './support/sshd.js';

const title = (text: string) => `${text}${noSshd === undefined ? '' : ` (${noSshd})`}`;

describe.skipIf(noSshd !== undefined)(title('deploy over a real OpenSSH server'), () => {
  let at: SshBoard;
  let sshd: TestSshd;
  let folder: DeployFolder;
  let board: string;
  let first: DeployResult & { readonly url: string };

  beforeAll(async () => {
    at = await SshBoard.start();
    ({ sshd, folder, target: board } = at);
    vi.stubEnv('HOME', sshd.home);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await at?.[Symbol.asyncDispose]();
  });

  const deploy = (...args: string[]) => at.deploy(...args);
  const listed = async (): Promise<InstalledRelease[]> =>
    JSON.parse((await deploy('--list', '--json')).stdout);

  it('a first host key is not accepted unasked: --yes needs its fingerprint', async () => {
    const { status, stderr } = await deploy();
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining('SSH_HOST_KEY_UNKNOWN'),
    });
    expect(stderr).toContain(sshd.fingerprint);
    expect(existsSync(join(folder.path, 'agent'))).toBe(false);
  });

  it('a host key with another fingerprint than given is refused', async () => {
    const { status, stderr } = await deploy('--host-key', `SHA256:${'A'.repeat(43)}`);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining('SSH_HOST_KEY_CHANGED'),
    });
  });

  it('puts the agent on the board with a key, sees that it computes right, and says how to use it', async () => {
    const { status, stdout, stderr } = await deploy('--host-key', sshd.fingerprint, '--json');
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: expect.stringMatching(/pass {2}architecture: x86_64/),
    });
    first = JSON.parse(stdout);
    expect(first).toMatchObject({
      unchanged: false,
      url: `ssh://${board}${folder.path}/run/agent.sock`,
    });
    expect(first.selfTestChecks).toBeGreaterThan(0);
    expect(first.sentBytes).toBeGreaterThan(1e6);
    expect(await folder.settled()).toBe(first.release);
    expect(readFileSync(join(sshd.home, '.ssh', 'known_hosts'), 'utf8')).toBe(sshd.knownHostsLine);
  });

  it('ssh:// reaches the agent from then on, which generates', async () => {
    const { status, stdout, stderr } = await cli(
      ['run', '--device', first.url, '--temp', '0', '-n', '8', '--prompt', 'Once upon a time'],
      { home: sshd.home },
    );
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('there was a little girl');
  });

  it('makes a token of 256 bits for each role, which only its user reads', () => {
    const file = join(folder.path, 'config', 'tokens');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    expect(lines.map((line) => line.replace(/ [0-9a-f]{64}$/, ''))).toEqual(['admin', 'infer', 'read']);
  });

  it('a second time changes nothing, and says so', async () => {
    const before = folder.snapshot;
    const { status, stdout } = await deploy();
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('nothing was changed') });
    expect(folder.snapshot).toBe(before);
  });

  it('another release replaces it, sends only what differs, and leaves the one before', async () => {
    await using connection = await openSsh({ host: '127.0.0.1', port: sshd.port, user: sshd.user });
    const deployer = await Deployer.open(connection, { withoutSystemd: folder.path });
    const second = await deployer.deploy({
      device: 'mock:pynq-z2',
      design: { board: 'pynq-z2' },
      vectors: 'vectors',
      staysMs: 200,
    });
    expect(second.sentBytes).toBeLessThan(10_000);
    expect(await folder.settled()).toBe(second.release);
    expect(await listed()).toMatchObject([
      { digest: second.release, active: true, running: true, previous: false },
      { digest: first.release, active: false, running: false, previous: true },
    ]);
  });

  it('which board it is stays known when it is not said again', async () => {
    const { stdout } = await deploy('--agent-device', 'mock:pynq-z2');
    expect(stdout).toContain('nothing was changed');
    const kept = join(folder.path, 'agent', 'current', 'design', 'board.toml');
    expect(readFileSync(kept, 'utf8')).toBe('board = "pynq-z2"\n');
  });

  it('a bitstream for another FPGA is refused before anything is sent', async () => {
    const before = folder.snapshot;
    const file = join(sshd.home, 'kria.bit');
    writeFileSync(file, bitFile('xck26-sfvc784-2LV-c', configuration(IDCODE_XCK26)));
    const { status, stderr } = await deploy('--board', 'pynq-z1', '--bitstream', file);
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('FIRMWARE_WRONG_PART') });
    expect(folder.snapshot).toBe(before);
  });

  it('of what is to be done only one can be asked for', async () => {
    expect(await deploy('--list', '--rollback')).toMatchObject({ status: 2, stdout: '' });
  });

  it('a board of another architecture is named before anything is sent', async () => {
    const bin = mkdtempSync(join(tmpdir(), 'pynq-llm-bin-'));
    writeFileSync(
      join(bin, 'uname'),
      '#!/bin/sh\ncase $1 in -m) echo riscv64 ;; *) exec /bin/uname "$@" ;; esac\n',
    );
    chmodSync(join(bin, 'uname'), 0o755);
    const elsewhere = join(folder.path, 'elsewhere');
    await using other = await startSshd([`SetEnv PATH=${bin}:${process.env.PATH}`]);
    const { status, stderr } = await cli(
      ['deploy', `${other.user}@127.0.0.1:${other.port}`, '--yes', '--host-key', other.fingerprint].concat([
        '--without-systemd',
        elsewhere,
      ]),
      { home: other.home },
    );
    rmSync(bin, { recursive: true });
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('DEPLOY_PREFLIGHT') });
    expect(stderr).toContain('architecture: riscv64. There are releases for armv7l and aarch64.');
    expect(existsSync(elsewhere)).toBe(false);
  });

  it('--remove without a release stops the agent and leaves models and tokens', async () => {
    const { status, stdout } = await deploy('--remove');
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringContaining('models and tokens stay'),
    });
    expect(folder.running).toEqual([]);
    expect(existsSync(join(folder.path, 'agent'))).toBe(false);
    expect(existsSync(join(folder.path, 'config', 'tokens'))).toBe(true);
    expect(await deploy('--list')).toMatchObject({ status: 0, stdout: 'no releases\n' });
    expect(await deploy('--remove')).toMatchObject({ status: 0 });
  });

  // The last: the server has another key afterwards.
  it('a changed host key is refused, with what to do about it', async () => {
    await sshd.changeHostKey();
    const { status, stderr } = await deploy('--host-key', sshd.fingerprint);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining('SSH_HOST_KEY_CHANGED'),
    });
    expect(stderr).toContain('ssh-keygen -R');
    expect(existsSync(join(folder.path, 'agent'))).toBe(false);
  });
});
