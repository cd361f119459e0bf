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
