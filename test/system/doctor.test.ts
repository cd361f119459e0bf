import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import type { CheckReport } from '../../sdk/index.js';
import { temporaryDirectory, testAgent } from './support/agent.js';
import { cli } from './support/cli.js';
import { noSshd, startSshd, type TestSshd } from './support/sshd.js';

const directory = temporaryDirectory();
const home = join(directory.path, 'home');
mkdirSync(home);
const run = (args: readonly string[], from = home) => cli(args, { home: from });

afterAll(() => directory[Symbol.dispose]());

interface Examination {
  readonly device: string;
  readonly passed: boolean;
  readonly checks: readonly CheckReport[];
}

/** The findings of `doctor --json` by name. */
async function doctor(args: readonly string[], from = home) {
  const { status, stdout, stderr } = await run(['doctor', '--json', ...args], from);
  const examination: Examination = JSON.parse(stdout);
  const byName = Object.fromEntries(examination.checks.map((check) => [check.name, check]));
  return { status, stderr, ...examination, byName };
}

const CORE = [
  'device',
  'DMA memory',
  'golden vectors',
  'DMA lane A',
  'DMA lane B',
  'DMA lane C',
  'DMA lane D',
  'generation',
  'DMA bandwidth',
];

describe('doctor on a mock', () => {
  it("passes the core's whole self-test, and leaves no model on the board that was not there", async () => {
    const fresh = join(directory.path, 'fresh');
    mkdirSync(fresh);
    const { status, passed, checks, byName } = await doctor(['--device', 'mock:'], fresh);
    expect({ status, passed }).toEqual({ status: 0, passed: true });
    const core = checks.filter(({ group }) => group === 'core');
    expect(core.map(({ name, status: one }) => [name, one])).toEqual(CORE.map((name) => [name, 'pass']));
    // One word a cycle on four lanes at 100 MHz is 1600 MB/s; what is sent beside weights adds a little.
    expect(byName['DMA bandwidth'].detail).toMatch(/^16\d\d MB\/s/);
    expect((await run(['models', '--json'], fresh)).stdout).toBe('[]\n');
  });

  it('a design of 2026 passes too, with a warning that it misses timing at its clock', async () => {
    const { status, checks, byName } = await doctor(['--device', 'mock:kv260-2026-v4']);
    expect(status).toBe(0);
    expect(byName['setup time']).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('misses timing at 200.0 MHz by 0.217 ns'),
    });
    const core = checks.filter(({ group, name }) => group === 'core' && name !== 'setup time');
    expect(core.map(({ name, status: one }) => [name, one])).toEqual(CORE.map((name) => [name, 'pass']));
  });

  it('v1 has one lane; the others are skipped', async () => {
    const { status, byName } = await doctor(['--device', 'mock:v1']);
    expect(status).toBe(0);
    expect(byName['DMA lane A'].status).toBe('pass');
    expect(byName['DMA lane B']).toMatchObject({ status: 'skip', detail: 'the core has one lane' });
  });

  it('--no-touch only asks for the state', async () => {
    const { byName } = await doctor(['--no-touch']);
    expect(byName.device.status).toBe('pass');
    for (const name of CORE.slice(1))
      expect(byName[name]).toMatchObject({ status: 'skip', detail: expect.stringContaining('--no-touch') });
  });

  it('a fault of the core is found, named, and ends with status 1', async () => {
    const result = await run(['doctor', '--device', 'mock:?fault=dma-decode-error']);
    expect(result.status).toBe(1);
    expect(result.stdout).toMatch(/FAIL {2}golden vectors .*DRIVER_DMA_DECODE_ERROR/);
    expect(result.stdout).toMatch(/\n {8}→ .*pynq-llm selftest/);
    expect(result.stdout).toMatch(/\d+ passed, 0 warnings, 1 failed, \d+ skipped\n$/);
  });
});

describe('doctor on an agent', () => {
  const TOKENS = { admin: 'administrators-token', read: 'token-of-a-reader' };
  let agent: AgentHandle;
  beforeAll(async () => {
    agent = await testAgent({ token: TOKENS });
  });
  afterAll(() => agent.close());
  const at = (token: string) => ['--device', agent.url, '--token', token];

  it('checks the way there, and the core', async () => {
    const { status, byName } = await doctor(at(TOKENS.admin));
    expect(status).toBe(0);
    for (const name of ['host name', 'TCP', 'clock', 'agent', 'versions', ...CORE])
      expect(byName[name]).toMatchObject({ status: 'pass' });
    expect(byName.memory).toMatchObject({ status: 'skip', detail: expect.stringContaining('ssh://') });
  });

  it("does not touch the core with a reader's token, and says so", async () => {
    const { status, byName } = await doctor(at(TOKENS.read));
    expect(status).toBe(0);
    expect(byName['golden vectors']).toMatchObject({
      status: 'skip',
      detail: expect.stringContaining('needs the role admin'),
    });
  });

  it('fails with a wrong token and skips what needs the agent', async () => {
    const { status, byName } = await doctor(at('no-token-of-this-agent'));
    expect(status).toBe(1);
    expect(byName.agent).toMatchObject({ status: 'fail', detail: expect.stringContaining('UNAUTHORISED') });
    expect(byName.device).toMatchObject({ status: 'skip', detail: 'the agent did not answer' });
  });

  it('fails where nobody listens', async () => {
    const { status, byName } = await doctor(['--device', 'ws://127.0.0.1:1']);
    expect(status).toBe(1);
    expect(byName.TCP).toMatchObject({ status: 'fail', detail: expect.stringContaining('ECONNREFUSED') });
    expect(byName.agent.status).toBe('fail');
  });

  it('status says how it is; logs and restart need SSH', async () => {
    const args = at(TOKENS.read);
    const { stdout } = await run(['status', '--json', ...args]);
    expect(JSON.parse(stdout)).toMatchObject({
      device: agent.url,
      unit: null,
      agent: { info: { device: 'mock:' }, health: { state: 'ready' }, models: [] },
    });
    expect((await run(['status', ...args])).stdout).toMatch(/state +ready\n/);
    for (const command of ['logs', 'restart']) {
      const { status, stderr } = await run([command, ...args]);
      expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('SERVICE_NEEDS_SSH') });
      expect(stderr).toContain('ssh://USER@HOST');
    }
  });
});

describe.skipIf(noSshd !== undefined)(
  `a board behind SSH${noSshd === undefined ? '' : ` (${noSshd})`}`,
  () => {
    const socket = join(directory.path, 'agent.sock');
    const bin = join(directory.path, 'bin');
    let sshd: TestSshd;
    let agent: AgentHandle;
    let device: string;
    const at = (place = device) => ['--device', place];

    /** systemd is not there: what it would answer comes from files, and a restart leaves a mark. */
    const command = (name: string, body: string) => {
      const file = join(bin, name);
      writeFileSync(file, `#!/bin/sh\n${body}\n`);
      chmodSync(file, 0o755);
    };

    beforeAll(async () => {
      mkdirSync(bin);
      command(
        'systemctl',
        `case $1 in
restart) touch ${directory.path}/restarted ;;
*) printf 'LoadState=loaded\\nActiveState=active\\nSubState=running\\nResult=success\\nNRestarts=0\\nMemoryCurrent=1000000\\n' ;;
esac`,
      );
      command('journalctl', `echo "$*"; case $* in *--follow*) exec sleep 600 ;; esac`);
      sshd = await startSshd([`SetEnv PATH=${bin}:${process.env.PATH}`]);
      writeFileSync(join(sshd.home, '.ssh', 'known_hosts'), sshd.knownHostsLine);
      agent = await testAgent({ listen: `unix:${socket}` });
      device = `ssh://${sshd.user}@127.0.0.1:${sshd.port}${socket}`;
    });
    afterAll(async () => {
      await agent?.close();
      await sshd?.[Symbol.asyncDispose]();
    });

    it('doctor checks login, board and core over one login', async () => {
      const { byName } = await doctor(at(), sshd.home);
      expect(byName['SSH host key and login']).toMatchObject({
        status: 'pass',
        detail: expect.stringContaining(sshd.fingerprint),
      });
      for (const name of ['TCP', 'clock', 'agent', 'memory', 'kernel', 'C library', 'service', ...CORE])
        expect(byName[name]).toMatchObject({ name, status: 'pass' });
      expect(byName['FPGA manager']).toMatchObject({
        status: 'skip',
        detail: expect.stringContaining('mock'),
      });
    });

    it('doctor without the agent still checks the board', async () => {
      const { status, byName } = await doctor(at(`${device}.not-there`), sshd.home);
      expect(status).toBe(1);
      expect(byName.agent).toMatchObject({ status: 'fail', detail: expect.stringContaining('SSH_FORWARD') });
      expect(byName.memory.status).toBe('pass');
      expect(byName.device.status).toBe('skip');
    });

    it('status has the service beside the agent, and says so where only the service answers', async () => {
      const { status, stdout } = await run(['status', ...at()], sshd.home);
      expect({ status, stdout }).toEqual({
        status: 0,
        stdout: expect.stringMatching(/^service +active \(running\)/),
      });
      const dead = await run(['status', ...at(`${device}.not-there`)], sshd.home);
      expect(dead.status).toBe(1);
      expect(dead.stdout).toContain('active (running)');
      expect(dead.stderr).toContain('SSH_FORWARD_FAILED');
    });

    it('logs asks for the lines of the service, and -f goes on until Ctrl-C', async () => {
      const { status, stdout } = await run(['logs', '-n', '7', ...at()], sshd.home);
      expect({ status, stdout }).toEqual({
        status: 0,
        stdout: expect.stringMatching(/--unit=pynq-llm\.service .*--lines=7\n$/),
      });
      const followed = await cli(['logs', '-f', ...at()], {
        home: sshd.home,
        onOutput: (child) => child.kill('SIGINT'),
      });
      expect(followed).toMatchObject({ status: 0, stderr: '', stdout: expect.stringContaining('--follow') });
      expect(followed.milliseconds).toBeLessThan(20_000);
    });

    it('restart restarts the service and waits for the agent', async () => {
      const { status, stdout } = await run(['restart', ...at()], sshd.home);
      expect({ status, stdout }).toEqual({
        status: 0,
        stdout: expect.stringMatching(/^active \(running\), answers/),
      });
      expect(existsSync(join(directory.path, 'restarted'))).toBe(true);
    });

    // The last: the server has another key afterwards.
    it('doctor fails on a changed host key and skips the rest', async () => {
      await sshd.changeHostKey();
      const { status, byName } = await doctor(at(), sshd.home);
      expect(status).toBe(1);
      expect(byName['SSH host key and login']).toMatchObject({
        status: 'fail',
        detail: expect.stringContaining('SSH_HOST_KEY_CHANGED'),
        fix: expect.stringContaining('ssh-keygen -R'),
      });
      expect(byName.agent).toMatchObject({ status: 'skip', detail: 'the SSH login failed' });
      expect(byName.memory).toMatchObject({ status: 'skip', detail: 'the SSH login failed' });
    });
  },
);
