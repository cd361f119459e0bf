import { describe, expect, it } from 'vitest';
import { BOARD_CHECKS } from '../../../../sdk/doctor/board.js';
import type { Finding } from '../../../../sdk/doctor/check.js';
import { DoctorSession } from '../../../../sdk/doctor/session.js';
import { type BoardTreeOptions, boardTree, Z1 } from './board-tree.js';

const OPTIONS = {
  version: '0.1.0',
  vectors: 'vectors',
  model: 'models/tiny-stories-Q3_K_M.gguf',
  touch: true,
  signal: new AbortController().signal,
};
const LAPTOP = { nodeVersion: '20.11.0', home: '/', sshAgentSocket: undefined };

/** Findings of every board check, by name. */
async function examineBoard(options: BoardTreeOptions): Promise<Record<string, Finding>> {
  using tree = boardTree(options);
  const session = new DoctorSession({ kind: 'ssh', url: 'ssh://xilinx@pynq' }, LAPTOP, OPTIONS);
  session.ssh = tree.login;
  const findings: Record<string, Finding> = {};
  for (const { name, run } of BOARD_CHECKS) {
    const finding = await run(session);
    if (finding) findings[name] = finding;
  }
  return findings;
}

const without = (path: string) =>
  Object.fromEntries(Object.entries(Z1.files).filter(([name]) => !name.startsWith(path)));

describe("the doctor's look at a board", () => {
  it('a PYNQ-Z1 that is set up passes every check', async () => {
    const findings = await examineBoard(Z1);
    expect(Object.values(findings).map(({ status }) => status)).toEqual(Array(10).fill('pass'));
    expect(findings['register access'].detail).toContain('/dev/uio0 (bfp-core; -rw');
    expect(findings['DMA buffers'].detail).toContain('u-dma-buf of 67108864 bytes');
    expect(findings.memory.detail).toBe('360 MB of 520 MB available');
    expect(findings.service.detail).toBe('active (running), restarted 0 times by systemd');
  });

  it('a KV260 passes too', async () => {
    const findings = await examineBoard({
      ...Z1,
      machine: 'aarch64',
      files: { ...Z1.files, '/proc/sys/kernel/osrelease': '5.15.0-1027-xilinx-zynqmp\n' },
    });
    expect(Object.values(findings).every(({ status }) => status === 'pass')).toBe(true);
  });

  it('without the driver of the FPGA manager it says which image has it', async () => {
    const { 'FPGA manager': fpga } = await examineBoard({ ...Z1, files: without('/sys/class/fpga_manager') });
    expect(fpga).toMatchObject({ status: 'fail', fix: expect.stringContaining('PYNQ image') });
  });

  it('an FPGA without a bitstream fails before anybody touches its registers', async () => {
    const files = { ...Z1.files, '/sys/class/fpga_manager/fpga0/state': 'unknown\n' };
    const { 'FPGA manager': fpga } = await examineBoard({ ...Z1, files });
    expect(fpga).toMatchObject({ status: 'fail', detail: expect.stringContaining('fpga0 is unknown') });
  });

  it('too little contiguous memory is a warning with the boot argument', async () => {
    const files = { ...Z1.files, '/proc/meminfo': Z1.files['/proc/meminfo'].replace('98304', '8192') };
    const { CMA } = await examineBoard({ ...Z1, files });
    expect(CMA).toMatchObject({ status: 'warn', fix: expect.stringContaining('cma=128M') });
  });

  it('no contiguous memory of any kind fails', async () => {
    const files = {
      ...without('/sys/class/u'),
      '/proc/meminfo': 'MemTotal: 500000 kB\nMemAvailable: 400000 kB\n',
    };
    expect((await examineBoard({ ...Z1, files })).CMA.status).toBe('fail');
  });

  it('a Linux that is too old for Node.js 20 fails with what to install', async () => {
    const files = { ...Z1.files, '/proc/sys/kernel/osrelease': '4.14.0-xilinx\n' };
    const findings = await examineBoard({ ...Z1, glibc: '2.27', files });
    expect(findings.kernel).toMatchObject({ status: 'fail', fix: expect.stringContaining('PYNQ 2.7') });
    expect(findings['C library'].status).toBe('fail');
  });

  it('a full card is a warning', async () => {
    expect((await examineBoard({ ...Z1, freeKilobytes: 100_000 })).disk.status).toBe('warn');
  });

  describe('of reserved memory', () => {
    const device = (name: string) => Z1.systemctl!.replace('linux:pynq-z1', `linux:${name}`);
    const files = Object.fromEntries(Object.entries(Z1.files).filter(([path]) => !path.includes('udmabuf')));
    const look = async (name: string, more: Record<string, string>) =>
      (await examineBoard({ ...Z1, systemctl: device(name), files: { ...files, ...more } }))[
        'reserved memory'
      ];

    it('says how to boot where Linux may use it', async () => {
      const finding = await look('pynq-z1-360', { '/proc/cmdline': 'console=ttyPS0 mem=384M rw\n' });
      expect(finding).toMatchObject({
        status: 'fail',
        detail: 'Linux may use the 360 MiB at 0x9800000, as pynq-z1-360 has them',
      });
      expect(finding.fix).toContain("add mem=152M to the kernel's command line");
      expect(finding.fix).toContain('uEnv.txt');
      expect(finding.fix).toContain('dma@9800000 { reg = <0x9800000 0x16800000>; no-map; };');
    });

    it('passes by the boot argument, and by a node of the device tree', async () => {
      const cmdline = { '/proc/cmdline': 'console=ttyPS0 mem=152M rw\n' };
      expect(await look('pynq-z1-360', cmdline)).toMatchObject({ status: 'pass' });
      const node = { '/proc/device-tree/reserved-memory/dma@9800000/reg': '' };
      expect(await look('pynq-z1-360', node)).toMatchObject({ status: 'pass' });
    });

    it('reads which board it is in the file of a deploy', async () => {
      const file = { '/opt/pynq-llm/board.toml': 'board = "pynq-z1-256"\n' };
      expect((await look('/opt/pynq-llm/board.toml', file)).detail).toContain('256 MiB at 0x10000000');
    });

    it('says nothing where u-dma-buf gives the memory', async () => {
      expect((await examineBoard(Z1))['reserved memory']).toBeUndefined();
    });
  });

  it('says where memory killed the agent, by systemd or by the kernel’s count', async () => {
    const restarted = Z1.systemctl!.replace('NRestarts=0', 'NRestarts=2');
    const files = { ...Z1.files, '/proc/vmstat': 'pgfault 5\noom_kill 2\n' };
    const { service } = await examineBoard({ ...Z1, systemctl: restarted, files });
    expect(service).toMatchObject({ status: 'warn' });
    expect(service.fix).toContain('the kernel killed 2 processes for memory since the board started');
    const killed = Z1.systemctl!.replace('ActiveState=active', 'ActiveState=failed').replace(
      'Result=success',
      'Result=oom-kill',
    );
    const failed = await examineBoard({ ...Z1, systemctl: killed });
    expect(failed.service.fix).toContain('the kernel killed the agent for memory');
  });

  it('a service that failed says how it ended last', async () => {
    const systemctl = 'LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=watchdog\nNRestarts=5';
    const { service } = await examineBoard({ ...Z1, systemctl });
    expect(service).toMatchObject({ status: 'fail', detail: expect.stringContaining('watchdog') });
    expect(service.fix).toContain('pynq-llm logs');
  });

  it('a board where nothing was deployed is told so', async () => {
    const { service } = await examineBoard({ ...Z1, systemctl: 'LoadState=not-found\nActiveState=inactive' });
    expect(service).toMatchObject({ status: 'fail', fix: expect.stringContaining('pynq-llm deploy') });
  });

  it('an agent with a mock needs no FPGA, CMA or UIO', async () => {
    const systemctl = Z1.systemctl?.replace('linux:pynq-z1', 'mock:') ?? '';
    const files = without('/sys/class');
    const findings = await examineBoard({ ...Z1, systemctl, files });
    for (const name of ['CMA', 'FPGA manager', 'register access', 'DMA buffers'])
      expect(findings[name].status).toBe('skip');
  });

  it('a computer that is no Zynq fails', async () => {
    const { architecture } = await examineBoard({ ...Z1, machine: 'x86_64' });
    expect(architecture).toMatchObject({ status: 'fail', detail: expect.stringContaining('x86_64') });
  });

  it('a shell that prints something else is an error', async () => {
    const session = new DoctorSession({ kind: 'ssh', url: 'ssh://xilinx@pynq' }, LAPTOP, OPTIONS);
    using tree = boardTree(Z1);
    session.ssh = { ...tree.login, exec: async () => ({ status: 0, stdout: 'Welcome!\n', stderr: '' }) };
    await expect(BOARD_CHECKS[0].run(session)).rejects.toThrow('SERVICE_BAD_ANSWER');
  });

  it('without a login every check is skipped', async () => {
    const session = new DoctorSession({ kind: 'ws', url: 'ws://a:1', host: 'a', port: 1 }, LAPTOP, OPTIONS);
    for (const { run } of BOARD_CHECKS) expect(await run(session)).toMatchObject({ status: 'skip' });
  });
});
