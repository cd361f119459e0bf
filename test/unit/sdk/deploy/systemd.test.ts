import { describe, expect, test } from 'vitest';
import { parseStatus } from '../../../../sdk/deploy/board-state.js';
import { LAYOUT } from '../../../../sdk/deploy/layout.js';
import type { ServiceOptions } from '../../../../sdk/deploy/service-manager.js';
import { systemd } from '../../../../sdk/deploy/systemd.js';

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
  test.each([
    'User=pynq-llm',
    'NoNewPrivileges=yes',
    'CapabilityBoundingSet=',
    'ProtectSystem=strict',
    'PrivateTmp=yes',
    'DevicePolicy=closed',
    'WatchdogSec=120',
    'StartLimitIntervalSec=0',
    'RestartSec=5',
  ])('has %s', (line) => {
    expect(systemd.files(options)[UNIT].split('\n')).toContain(line);
  });

  test('reaches /dev/mem only when asked', () => {
    const asked = systemd.files({ ...options, allowDevMem: true });
    const [rules] = Object.keys(asked).filter((path) => path.endsWith('.rules'));
    expect(Object.values(systemd.files(options)).join()).not.toMatch(/\/dev\/mem|RAWIO|KERNEL=="mem"/);
    expect(asked[UNIT]).toContain('DeviceAllow=/dev/mem rw\n');
    expect(asked[UNIT]).toContain('CapabilityBoundingSet=CAP_SYS_RAWIO\n');
    expect(asked[rules]).toContain('KERNEL=="mem"');
  });

  test('passes a device on whatever characters it has', () => {
    const unit = systemd.files({ ...options, device: 'mock:?a=100%&b=$HOME "x"' })[UNIT];
    expect(unit).toContain('--device "mock:?a=100%%&b=$$HOME \\"x\\""');
  });

  test('with a bitstream needs another unit, which programs the FPGA as root first', () => {
    const files = systemd.files({ ...options, programsFpga: true });
    expect(files[UNIT]).toMatch(
      /^After=network\.target pynq-llm-fpga\.service\nRequires=pynq-llm-fpga\.service$/m,
    );
    expect(files[FPGA_UNIT]).toMatch(
      /^ExecStart=\S+\/bin\/node \S+\/agent\/start-logic\.js \S+\/current\/design$/m,
    );
    expect(files[FPGA_UNIT]).not.toMatch(/^User=/m);
    expect(systemd.files(options)[FPGA_UNIT]).toBeUndefined();
  });
});

describe('what a board says is installed', () => {
  const [one, two] = ['1', '2'].map((digit) => digit.repeat(64));

  test('is read with the design of the active release', () => {
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

  test('is nothing where there is nothing', () => {
    expect(parseStatus('')).toEqual({ releases: [], pending: undefined, design: new Map() });
  });

  test('believes no name that is not a digest', () => {
    expect(parseStatus('release=../../etc {"version":"1"}\ndesign=x design/fpga.bit\n')).toMatchObject({
      releases: [],
      design: new Map(),
    });
  });
});
