import { describe, expect, it } from 'vitest';
import { LAYOUT } from '../../../../sdk/deploy/layout.js';
import { platformOf } from '../../../../sdk/deploy/platforms.js';
import {
  type BoardFacts,
  factsCommand,
  judge,
  type PreflightNeeds,
  parseFacts,
} from '../../../../sdk/deploy/preflight.js';
import { systemd } from '../../../../sdk/deploy/systemd.js';

const NOW_S = 1_700_000_000;
/** What a PYNQ-Z1 with PYNQ 3.0 prints. */
const PYNQ_Z1 = `machine=armv7l
kernel=5.15.19-xilinx-v2022.1
libc=glibc 2.35
uid=1000
user=xilinx
MemTotal=507676
MemAvailable=321024
CmaTotal=131072
disk=8388608
epoch=${NOW_S + 3}
fpga=operating
`;
const needs: PreflightNeeds = {
  platform: platformOf('armv7l'),
  nowMs: Date.UTC(2026, 3, 1),
  diskBytes: 100e6,
  usesHardware: true,
  design: { architecture: 'armv7', programsFpga: true },
  mayProgram: true,
  lacksRoot: false,
};
const facts = parseFacts(PYNQ_Z1, NOW_S);
const others = (more: Partial<BoardFacts>, moreNeeds: Partial<PreflightNeeds> = {}) =>
  judge({ ...facts, ...more }, { ...needs, ...moreNeeds }).filter(({ verdict }) => verdict !== 'pass');

describe('what a board says of itself', () => {
  it('is read from what the command printed', () => {
    expect(facts).toEqual({
      machine: 'armv7l',
      kernel: '5.15.19-xilinx-v2022.1',
      libc: 'glibc 2.35',
      uid: 1000,
      user: 'xilinx',
      memoryBytes: 507676 * 1024,
      availableBytes: 321024 * 1024,
      cmaBytes: 128 * 2 ** 20,
      diskBytes: 8 * 2 ** 30,
      fpgaState: 'operating',
      hasBoardFile: false,
      clockSkewSeconds: 3,
      missingTools: [],
    });
  });

  it('counts the memory of the agent that runs now as available', () => {
    const { availableBytes } = parseFacts(`${PYNQ_Z1}agent=40960\n`, NOW_S);
    expect(availableBytes).toBe(facts.availableBytes + 40 * 2 ** 20);
  });

  it('is not believed where a login shell prints something else', () => {
    expect(parseFacts('Welcome to PYNQ!\n', NOW_S)).toMatchObject({
      uid: -1,
      machine: 'unknown',
      cmaBytes: undefined,
    });
  });

  it('names the programs that are not there', () => {
    expect(parseFacts(`${PYNQ_Z1}missing=flock\nmissing=systemctl\n`, NOW_S).missingTools).toEqual([
      'flock',
      'systemctl',
    ]);
    expect(factsCommand(LAYOUT, systemd)).toContain('flock');
  });
});

describe('the preflight', () => {
  it('passes a PYNQ-Z1', () => {
    const checks = judge(facts, needs);
    expect(checks.filter(({ verdict, fix }) => verdict !== 'pass' || fix !== '')).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual([
      'architecture',
      'C library',
      'kernel',
      'Node.js',
      'memory',
      'CMA',
      'board',
      'FPGA',
      'disk',
      'clock',
      'programs',
      'sudo',
    ]);
  });

  it.each<[string, Partial<BoardFacts>, Partial<PreflightNeeds>, string, RegExp]>([
    [
      'architecture',
      { machine: 'mips' },
      { platform: undefined, design: undefined, usesHardware: false },
      'fail',
      /armv7l and aarch64/,
    ],
    ['C library', { libc: 'glibc 2.27' }, {}, 'fail', /glibc 2\.28 or later.*newer image/],
    ['C library', { libc: '' }, {}, 'fail', /glibc 2\.28/],
    ['kernel', { kernel: '4.17.9' }, {}, 'fail', /Linux 4\.18 or later/],
    ['memory', { availableBytes: 90 * 2 ** 20 }, {}, 'fail', /96 MiB.*jupyter/],
    ['CMA', { cmaBytes: undefined }, {}, 'warn', /cma=128M/],
    ['CMA', { cmaBytes: 16 * 2 ** 20 }, {}, 'warn', /cma=128M/],
    ['board', {}, { design: undefined }, 'fail', /--board pynq-z1/],
    ['board', {}, { design: { architecture: 'aarch64', programsFpga: false } }, 'fail', /--board/],
    ['FPGA', { fpgaState: undefined }, {}, 'fail', /FPGA manager/],
    ['FPGA', { fpgaState: 'unknown' }, { design: { programsFpga: false } }, 'warn', /--bitstream/],
    ['FPGA', {}, { mayProgram: false }, 'fail', /Without systemd/],
    ['disk', { diskBytes: 150e6 }, {}, 'fail', /159 MiB are needed/],
    ['clock', { clockSkewSeconds: -86_400 }, {}, 'warn', /timedatectl/],
    ['programs', { missingTools: ['flock'] }, {}, 'fail', /package manager/],
    ['programs', { missingTools: ['systemctl'] }, {}, 'fail', /--without-systemd/],
    ['sudo', {}, { lacksRoot: true }, 'fail', /sudo/],
    ['Node.js', {}, { nowMs: Date.UTC(2026, 10, 29) }, 'warn', /node-v22.X.Y-linux-armv7l.*--node FILE/],
  ])('names a wrong %s alone, and what to do', (name, more, moreNeeds, verdict, fix) => {
    expect(others(more, moreNeeds)).toEqual([
      { name, verdict, found: expect.stringMatching(/./), fix: expect.stringMatching(fix) },
    ]);
  });

  it("takes the owner's own board file, and an FPGA that somebody else programmed", () => {
    expect(others({ hasBoardFile: true }, { design: undefined })).toEqual([]);
  });

  it('asks for nothing of the accelerator where the agent serves a mock', () => {
    const bare = { cmaBytes: undefined, fpgaState: undefined };
    expect(others(bare, { usesHardware: false, design: undefined })).toEqual([]);
  });
});
