import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseStatus } from '../../../../sdk/deploy/board-state.js';
import { LAYOUT } from '../../../../sdk/deploy/layout.js';
import { plainLayout } from '../../../../sdk/deploy/plain.js';
import type { ServiceOptions } from '../../../../sdk/deploy/service-manager.js';
import { systemd } from '../../../../sdk/deploy/systemd.js';
import { temporaryDirectory } from '../../../system/support/agent.js';

const noAnalyze =
  spawnSync('systemd-analyze', ['--version']).error === undefined
    ? undefined
    : 'systemd-analyze is not installed';

const options: ServiceOptions = {
  layout: LAYOUT,
  device: 'linux:',
  loginUid: 1000,
  allowDevMem: false,
  programsFpga: false,
};
const UNIT = 'system/pynq-llm.service';
const FPGA_UNIT = 'system/pynq-llm-fpga.service';

describe('the unit of the agent', () => {
  it.each([
    'User=pynq-llm',
    'NoNewPrivileges=yes',
    'CapabilityBoundingSet=',
    'ProtectSystem=strict',
    'PrivateTmp=yes',
    'DevicePolicy=closed',
    'WatchdogSec=120',
    // However often the agent ends, it is started again.
    'StartLimitIntervalSec=0',
    'RestartSec=5',
  ])('has %s', (line) => {
    expect(systemd.files(options)[UNIT].split('\n')).toContain(line);
  });

  it('reaches /dev/mem only when asked', () => {
    const asked = systemd.files({ ...options, allowDevMem: true });
    const [rules] = Object.keys(asked).filter((path) => path.endsWith('.rules'));
    expect(Object.values(systemd.files(options)).join()).not.toMatch(/\/dev\/mem|RAWIO|KERNEL=="mem"/);
    expect(asked[UNIT]).toContain('DeviceAllow=/dev/mem rw\n');
    expect(asked[UNIT]).toContain('CapabilityBoundingSet=CAP_SYS_RAWIO\n');
    expect(asked[rules]).toContain('KERNEL=="mem"');
  });

  it('passes a device on whatever characters it has', () => {
    const unit = systemd.files({ ...options, device: 'mock:?a=100%&b=$HOME "x"' })[UNIT];
    expect(unit).toContain('--device "mock:?a=100%%&b=$$HOME \\"x\\""');
  });

  it('lets no character of a device begin a line, a word or a command of its own', () => {
    const device = "mock:?a=\nExecStartPre=/bin/evil\r\t;\\ '$(id)` %u";
    const lines = systemd.files({ ...options, device })[UNIT].split('\n');
    expect(lines.filter((line) => line.startsWith('ExecStartPre='))).toHaveLength(1);
    expect(lines.join('\n')).toContain(
      String.raw`--device "mock:?a=\x0aExecStartPre=/bin/evil\x0d\x09;\\ '$$(id)${'`'} %%u" --listen`,
    );
    expect(systemd.files({ ...options, device: ';' })[UNIT]).toContain('--device ";" --listen');
  });

  it('names who logs in by number, so that no name has to be quoted', () => {
    expect(systemd.files({ ...options, loginUid: 4_294_000_001 })[UNIT]).toMatch(
      /^ExecStartPost=-\+\/bin\/sh \S+\/switch\.sh open 4294000001:pynq-llm$/m,
    );
  });

  it.skipIf(noAnalyze !== undefined)(`is one that systemd takes${noAnalyze ? ` (${noAnalyze})` : ''}`, () => {
    using folder = temporaryDirectory();
    const layout = plainLayout(folder.path);
    const { base } = layout;
    for (const name of ['bin', 'agent', 'system'])
      mkdirSync(join(base, 'current', name), { recursive: true });
    writeFileSync(join(base, 'current', 'bin', 'node'), '', { mode: 0o755 });
    const files = systemd.files({ ...options, layout, programsFpga: true, device: 'mock:?a=%n "$x\\' });
    const units = [UNIT, FPGA_UNIT].map((name) => join(base, 'current', name));
    for (const unit of units) writeFileSync(unit, files[unit.slice(`${base}/current/`.length)]);
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...units], {
      encoding: 'utf8',
    });
    expect(stderr.split('\n').filter((line) => line.includes(base))).toEqual([]);
    expect(status).toBe(0);
  });

  it('with a bitstream needs another unit, which programs the FPGA as root first', () => {
    const files = systemd.files({ ...options, programsFpga: true });
    expect(files[UNIT]).toMatch(
      /^After=network\.target pynq-llm-fpga\.service\nRequires=pynq-llm-fpga\.service$/m,
    );
    expect(files[FPGA_UNIT]).toMatch(
      /^ExecStart=\S+\/bin\/node \S+\/agent\/start-logic\.js \S+\/current\/design$/m,
    );
    expect(files[FPGA_UNIT]).not.toMatch(/^User=/m);
    expect(files[FPGA_UNIT]).toContain('StartLimitIntervalSec=0\n');
    expect(systemd.files(options)[FPGA_UNIT]).toBeUndefined();
  });
});

describe('what a board says is installed', () => {
  const [one, two] = ['1', '2'].map((digit) => digit.repeat(64));

  it('is read with the design of the active release', () => {
    const state = parseStatus(`active=${one}
running=${one}
pending=
previous=${two}
design=${two} design/fpga.bit
release=${one} {"version":"0.2.0","node":"20.11.0","architecture":"armv7"}
release=${two} {"version":"0.1.0","node":"20.11.0","architecture":"armv7"}
`);
    expect(state.pending).toBeUndefined();
    expect([...state.design]).toEqual([['design/fpga.bit', two]]);
    expect(state.releases).toEqual([
      { digest: one, version: '0.2.0', node: '20.11.0', active: true, running: true, previous: false },
      { digest: two, version: '0.1.0', node: '20.11.0', active: false, running: false, previous: true },
    ]);
  });

  it('is nothing where there is nothing', () => {
    expect(parseStatus('')).toEqual({ releases: [], pending: undefined, design: new Map() });
  });

  it('believes no name that is not a digest', () => {
    const digest = 'd'.repeat(64);
    const output = `release=../../etc {"version":"1"}\ndesign=x design/fpga.bit\ndesign=${digest} design/../../fpga.bit\n`;
    expect(parseStatus(output)).toMatchObject({
      releases: [],
      design: new Map(),
    });
  });
});
