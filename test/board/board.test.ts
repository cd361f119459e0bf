import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ProvisionResult } from '../../sdk/board-setup.js';
import type { AgentStatus, CheckReport, DeployResult, InstalledRelease } from '../../sdk/index.js';
import { TINY_MODEL } from '../system/support/agent.js';
import { jsonLines } from '../system/support/cli.js';
import { digestLogits, type LogitsDigest } from '../system/support/logits-digest.js';
import { boardImage, reasonToSkip } from './board-image.js';
import { BoardShell, LOGIN } from './board-shell.js';
import { EmulatedBoard } from './emulated-board.js';
import { installVersion, Laptop } from './laptop.js';
import type { DriverProbe } from './linux-driver-main.js';
import { Measurements } from './measurements.js';
import { PROGRAMS, sendProgram } from './release-programs.js';
import { type ProbeResult, runInUnit } from './unit-probe.js';

const BOOT_MS = 500_000;
const HOST_NAME = 'pynq-test';
const PROMPT = 'Once upon a time';
const TOKENS = 16;
/** Seconds in which a new agent has to pass its checks: emulated, and on a machine that may be busy. */
const PATIENCE = ['--deadline', '600'];
const COMPUTE_MS = 600_000;
/** The unit's WatchdogSec. */
const WATCHDOG_MS = 120_000;
const GENERATE = ['run', PROMPT, '--temp', '0', '--max-tokens', `${TOKENS}`, '--logprobs', '5', '--json'];
/** The agent's home. */
const STATE = '/var/lib/pynq-llm';
/** What is tried in the place of the agent: shell commands. */
const ATTEMPTS = {
  'write to its store': `touch ${STATE}/probe && rm ${STATE}/probe`,
  'see the temporary files of others': 'cat /tmp/of-others',
  'change its own program': 'touch /opt/pynq-llm/current/agent/main.mjs',
  'change settings of the system': 'touch /etc/probe',
  'change settings of the kernel': 'echo 1 > /proc/sys/kernel/sysrq',
  'see the home of who logs in': 'ls /home/xilinx',
  // A page of memory that the device tree keeps for nobody.
  'read all memory': 'dd if=/dev/mem of=/dev/null bs=4096 skip=114688 count=1',
  'read the card': 'head -c 1 /dev/mmcblk0',
  'become root': `echo ${LOGIN.password} | sudo -S true`,
  'make a namespace': 'unshare --user true',
  'open a network interface': 'ip link show',
} as const;
/** What linux-driver-main.ts writes to the first and the last register of each window. */
const WRITTEN_REGISTERS = Object.fromEntries(
  ['control', 'hwc', 'dma0', 'dma1', 'dma2', 'dma3'].map((name, index) => [
    name,
    [0x8000_0001 + index, 0x1234_0000 + index],
  ]),
);
const reason = reasonToSkip();

if (reason !== undefined) it('an emulated PYNQ-Z1', ({ skip }) => skip(reason));

// One board, from its first boot on: every test goes on where the one before has left it.
describe.skipIf(reason !== undefined)('an emulated PYNQ-Z1', () => {
  const measured = new Measurements();
  let folder: string;
  let laptop: Laptop;
  let board: EmulatedBoard;
  let shell: BoardShell;
  let hostKey: string;
  let first: DeployResult;
  let upgraded: DeployResult;

  const target = () => `xilinx@127.0.0.1:${board.sshPort}`;
  const device = () => ['--device', `ssh://${target()}`];
  const deployArguments = () => [
    ...['deploy', target(), '--agent-device', 'mock:', '--password-stdin', '--yes', '--host-key', hostKey],
    ...PATIENCE,
  ];
  const status = () => laptop.ask<AgentStatus>(['status', ...device()]);
  const releases = () => laptop.ask<InstalledRelease[]>([...deployArguments(), '--list']);
  const running = async () => (await releases()).find((release) => release.running)?.digest;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'pynq-llm-board-'));
    laptop = new Laptop(join(folder, 'home'));
    const image = await boardImage();
    for (const { part, seconds } of image.built) measured.seconds(`Building the ${part}`, seconds);
    board = await EmulatedBoard.start(image, folder);
  });

  afterAll(async () => {
    shell?.[Symbol.dispose]();
    await board?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    measured.write(join('dist', 'test', 'board', 'measured.md'));
  });

  it('boots to the login prompt of its console, and SSH answers', async () => {
    measured.seconds('Switched on to `login:`', await board.waitForConsole(/pynq login:/, BOOT_MS));
    shell = await measured.time('`login:` to a session over SSH', () => BoardShell.connect(board.sshPort));
    expect(await shell.run('uname -m && systemctl is-system-running --wait', BOOT_MS)).toBe(
      'armv7l\nrunning',
    );
    measured.bytes("Linux's memory in use before the agent is there", await usedMemory(shell));
  });

  it('is provisioned over its console: host name, SSH key, address and host keys', async () => {
    const args = ['provision', '--port', board.console, '--password-stdin', '--host-name', HOST_NAME];
    const result = await measured.time('`provision`', () => laptop.ask<ProvisionResult>(args));
    expect(result).toMatchObject({ machine: 'armv7l', hostName: HOST_NAME, keyWasThere: false });
    expect(result.addresses).toEqual([{ interface: 'end0', address: '10.0.2.15' }]);
    hostKey = result.hostKeys.find(({ type }) => type === 'ssh-ed25519')?.fingerprint ?? '';
    expect(await shell.run('hostname; cat ~/.ssh/authorized_keys')).toBe(`${HOST_NAME}\n${laptop.publicKey}`);
    expect(await shell.run('ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub')).toContain(hostKey);
  });

  it('gets the agent over SSH, which passes its self-test as a service of systemd', async () => {
    first = await measured.time('First `deploy`', () => laptop.ask(deployArguments()));
    measured.bytes('… of which sent', first.sentBytes);
    expect(first.unchanged).toBe(false);
    expect(first.selfTestChecks).toBeGreaterThan(0);
    expect(await shell.run('systemctl is-active pynq-llm && systemctl is-enabled pynq-llm')).toBe(
      'active\nenabled',
    );
  });

  it('is told by a second deploy that nothing had to be changed', async () => {
    const before = await shell.run('systemctl show -P InvocationID pynq-llm');
    const again = await measured.time('`deploy` again', () => laptop.ask(deployArguments()));
    expect(again).toMatchObject({ unchanged: true, sentBytes: 0, release: first.release });
    expect(await shell.run('systemctl show -P InvocationID pynq-llm')).toBe(before);
  });

  it('runs the agent as a user of its own without capabilities, who cannot get more', async () => {
    const pid = await shell.run('systemctl show -P MainPID pynq-llm');
    expect(await shell.run(`ps -o user= -p ${pid}`)).toBe('pynq-llm');
    const state = await shell.run(
      `grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/${pid}/status`,
    );
    const none = '0'.repeat(16);
    expect(state.split(/\s+/).join(' ')).toBe(
      `CapPrm: ${none} CapEff: ${none} CapBnd: ${none} CapAmb: ${none} NoNewPrivs: 1 Seccomp: 2`,
    );
  });

  it('has an agent that tells the watchdog of systemd again and again that it is alive', async () => {
    const seen = async () => {
      const properties = await shell.run(
        'systemctl show --property=WatchdogTimestampMonotonic,ActiveEnterTimestampMonotonic pynq-llm',
      );
      const [, fed] = /^WatchdogTimestampMonotonic=(\d+)$/m.exec(properties) ?? [];
      const [, started] = /^ActiveEnterTimestampMonotonic=(\d+)$/m.exec(properties) ?? [];
      return Number(fed) > Number(started);
    };
    await expect.poll(seen, { timeout: WATCHDOG_MS, interval: 5_000 }).toBe(true);
  });

  describe('a process in the place of the agent', () => {
    let found: Record<keyof typeof ATTEMPTS | 'writable' | 'driver', ProbeResult>;

    beforeAll(async () => {
      const program = await sendProgram(shell, 'dist/test/board/linux-driver-main.js', folder);
      await shell.send(readFileSync('test/board/emulated-windows.toml'), `${PROGRAMS}/uio.toml`);
      await shell.run('touch /tmp/of-others');
      found = await runInUnit(shell, {
        ...ATTEMPTS,
        writable:
          'find / \\( -path /proc -o -path /sys \\) -prune -o -type d -writable -print 2>/dev/null; true',
        driver: `${program} ${PROGRAMS}/uio.toml`,
      });
    });

    it('can write to the folders of the agent and nowhere else', () => {
      const folders = found.writable.output.split('\n').filter((path) => !path.startsWith(`${STATE}/`));
      expect(folders.toSorted()).toEqual(['/run/pynq-llm', '/tmp', STATE, '/var/tmp']);
      expect(found['write to its store'].succeeded).toBe(true);
    });

    it.each([
      'see the temporary files of others',
      'change its own program',
      'change settings of the system',
      'change settings of the kernel',
      'see the home of who logs in',
      'read all memory',
      'read the card',
      'become root',
      'make a namespace',
      'open a network interface',
    ] as const)('cannot %s', (attempt) => {
      expect(found[attempt]).toMatchObject({ succeeded: false });
    });

    it('reads and writes register windows and reserved memory through UIO and koffi', () => {
      const { report, registers, buffer } = probeOf(found.driver);
      expect(Object.values(report.windows)).toEqual(
        Array.from({ length: 6 }, () => expect.stringMatching(/^\/dev\/uio\d$/)),
      );
      expect(registers).toEqual(WRITTEN_REGISTERS);
      expect(report.memory).toMatchObject({ kind: 'reserved', detail: expect.stringMatching(/^\/dev\/uio/) });
      expect(buffer).toEqual({ physicalAddress: 0x1800_0000, bytes: [1, 2, 3, 250] });
    });
  });

  it('computes the greedy tokens and the bits of all logits that this machine computes', async () => {
    const program = await sendProgram(shell, 'dist/test/system/support/logits-digest-main.js', folder);
    const command = `${program} /opt/pynq-llm/current/${TINY_MODEL} pynq-z1 '${PROMPT}' ${TOKENS}`;
    const there: LogitsDigest = await measured.time(`Logits of the prompt and ${TOKENS} tokens`, async () =>
      JSON.parse(await shell.run(command, COMPUTE_MS)),
    );
    expect(there.architecture).toBe('arm');
    expect({ ...there, architecture: process.arch }).toEqual(
      digestLogits(TINY_MODEL, 'pynq-z1', PROMPT, TOKENS),
    );
  });

  it('generates with the deployed agent the tokens and probabilities that the mock of this machine gives', async () => {
    const generate = async (args: readonly string[]) => {
      const result = await laptop.run([...GENERATE, ...args]);
      expect(result.status, result.stderr).toBe(0);
      return jsonLines<{ type: string; timing?: { decodeMs: number } }>(result);
    };
    const there = await measured.time(`\`run\` of ${TOKENS} tokens through SSH`, () => generate(device()));
    const here = await generate(['--device', 'mock:']);
    const tokens = (lines: typeof there) => lines.filter(({ type }) => type === 'token');
    expect(tokens(there)).toHaveLength(TOKENS);
    expect(tokens(there)).toEqual(tokens(here));
    const decodeMs = there.at(-1)?.timing?.decodeMs ?? Number.NaN;
    measured.seconds('… of which one token', decodeMs / 1000 / TOKENS);
  });

  it('passes every check of the doctor', async () => {
    const report = await measured.time('`doctor`', () =>
      laptop.ask<{ passed: boolean; checks: CheckReport[] }>(['doctor', ...device()]),
    );
    const notPassed = report.checks.filter(({ status }) => status !== 'pass');
    expect(report.passed).toBe(true);
    // No battery keeps the clock of a PYNQ-Z1; and a mock needs neither logic nor its memory.
    expect(notPassed.map(({ name, status }) => `${status} ${name}`)).toEqual([
      'warn clock',
      // npm's newest for armv7 gets no fixes any more.
      'warn Node.js of the agent',
      ...['CMA', 'FPGA manager', 'register access', 'DMA buffers'].map((name) => `skip ${name}`),
    ]);
    const { unit, agent } = await status();
    measured.bytes("The agent's service, as systemd counts it", unit?.memoryBytes ?? 0);
    measured.bytes("The agent's process (resident)", agent?.health.process?.residentBytes ?? 0);
    measured.bytes("Linux's memory in use with the agent", await usedMemory(shell));
  });

  it('is upgraded to a version that may read /dev/mem because it was asked for', async () => {
    const main = installVersion(join(folder, 'upgrade'), '99.0.1');
    upgraded = await measured.time('Upgrade', () =>
      laptop.ask([...deployArguments(), '--allow-dev-mem'], { main }),
    );
    measured.bytes('… of which sent', upgraded.sentBytes);
    expect(upgraded).toMatchObject({ version: '99.0.1', unchanged: false });
    expect(upgraded.sentBytes).toBeLessThan(first.sentBytes / 10);
    expect(await releases()).toMatchObject([
      { digest: upgraded.release, active: true, running: true },
      { digest: first.release, previous: true },
    ]);
  });

  it('reads and writes register windows and reserved memory through /dev/mem after the upgrade', async () => {
    // The same layout in the other half of the memory that Linux does not use, which no UIO device covers.
    const description = readFileSync('test/board/emulated-windows.toml', 'utf8')
      .replaceAll('base = 0x1B', 'base = 0x1F')
      .replace('base = 0x18', 'base = 0x1C');
    await shell.send(Buffer.from(description), `${PROGRAMS}/devmem.toml`);
    const program = await sendProgram(shell, 'dist/test/board/linux-driver-main.js', folder);
    const found = await runInUnit(shell, {
      driver: `${program} ${PROGRAMS}/devmem.toml devmem`,
      'read all memory': ATTEMPTS['read all memory'],
    });
    expect(found['read all memory']).toMatchObject({ succeeded: true });
    const { report, registers, buffer } = probeOf(found.driver);
    expect(new Set(Object.values(report.windows))).toEqual(new Set(['/dev/mem']));
    expect(registers).toEqual(WRITTEN_REGISTERS);
    expect(buffer).toEqual({ physicalAddress: 0x1c00_0000, bytes: [1, 2, 3, 250] });
  });

  it('has the upgrade back after a release whose agent does not start', async () => {
    const main = installVersion(join(folder, 'bad'), '99.0.2', 'throw new Error("a bad release");\n');
    const args = [...deployArguments(), '--deadline', '60'];
    const input = `${LOGIN.password}\n`;
    const { status: exit, stderr } = await measured.time('Bad release, until the one before is back', () =>
      laptop.run(args, { main, input }),
    );
    expect(exit).toBe(1);
    expect(stderr).toContain('DEPLOY_UNHEALTHY');
    expect(stderr).toContain(`${upgraded.release.slice(0, 12)} is back`);
    expect(await running()).toBe(upgraded.release);
    expect(await status()).toMatchObject({
      unit: { active: 'active' },
      agent: { health: { state: 'ready' } },
    });
  });

  it('runs the confirmed release after a reboot in the middle of a deploy', async () => {
    const main = installVersion(join(folder, 'interrupted'), '99.0.3');
    const onError = (text: string, child: ChildProcess) => {
      if (text.includes('wait for the agent')) child.kill('SIGKILL');
    };
    const input = `${LOGIN.password}\n`;
    const { stderr } = await laptop.run(deployArguments(), { main, input, onError });
    expect(stderr).toContain('wait for the agent');
    const position = board.consolePosition();
    await shell.trySudo('systemctl reboot');
    shell[Symbol.dispose]();
    const login = new RegExp(`${HOST_NAME} login:`);
    measured.seconds('Reboot to `login:`', await board.waitForConsole(login, BOOT_MS, position));
    shell = await BoardShell.connect(board.sshPort);
    await measured.time('`login:` to a started agent', () =>
      // The system may be there before the service has answered systemd.
      shell.run(
        'systemctl is-system-running --wait; until systemctl is-active pynq-llm; do sleep 1; done',
        BOOT_MS,
      ),
    );
    expect(await running()).toBe(upgraded.release);
    expect(await status()).toMatchObject({ agent: { health: { state: 'ready' } } });
    measured.bytes('QEMU itself on this machine', board.hostMemory());
    measured.bytes('Changed on the card', board.cardChanges());
  });
});

function probeOf(result: ProbeResult): DriverProbe {
  expect(result).toMatchObject({ succeeded: true });
  return JSON.parse(result.output);
}

/** Memory that Linux cannot give to others, in bytes. */
async function usedMemory(shell: BoardShell): Promise<number> {
  const text = await shell.run('cat /proc/meminfo');
  const kilobytes = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1]);
  return (kilobytes('MemTotal') - kilobytes('MemAvailable')) * 1024;
}
