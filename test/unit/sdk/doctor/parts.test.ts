import { describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../../errors/index.js';
import { failure } from '../../../../sdk/doctor/check.js';
import { judgeClock, judgeNode } from '../../../../sdk/doctor/connection.js';
import { setupTime } from '../../../../sdk/doctor/core.js';
import { KNOWN_GENERATION } from '../../../../sdk/doctor/measure.js';
import { parseTarget } from '../../../../sdk/doctor/target.js';
import { parseUnitState } from '../../../../sdk/service/unit-state.js';
import { readReference } from '../../../reference/compare.js';

describe('the clock of a board', () => {
  const noon = Date.UTC(2026, 0, 1, 12);
  it('that differs by less than its whole seconds agrees', () => {
    expect(judgeClock(noon, noon + 200, noon + 900).status).toBe('pass');
    expect(judgeClock(noon, noon - 100, noon + 100).detail).toContain('agrees');
  });
  it('that starts in 1970 is a warning that says how far it is behind', () => {
    const finding = judgeClock(1_000, noon, noon + 100);
    expect(finding).toMatchObject({ status: 'warn', detail: expect.stringMatching(/^\d+ s behind/) });
  });
  it('that is an hour ahead is a warning', () => {
    expect(judgeClock(noon + 3_600_000, noon, noon + 100)).toMatchObject({
      status: 'warn',
      detail: '3600 s ahead of the laptop',
    });
  });
});

describe('the Node.js of an agent', () => {
  const now = Date.UTC(2026, 10, 29);
  it('that gets no fixes any more is a warning with what to do on that board', () => {
    expect(judgeNode({ node: 'v20.11.0', platform: 'linux arm' }, now)).toEqual({
      status: 'warn',
      detail: 'v20.11.0 gets no fixes since 2026-04-30',
      fix: expect.stringContaining('linux-armv7l'),
    });
  });
  it('that gets fixes is fine', () => {
    expect(judgeNode({ node: 'v24.22.3', platform: 'linux arm64' }, now)).toEqual({
      status: 'pass',
      detail: 'v24.22.3',
    });
  });
});

describe('a failed check', () => {
  it('of one of our errors has what happened and, apart from it, what to do', () => {
    const error = new PynqLlmError('SDK_CONNECT_FAILED', 'Nobody listens.');
    expect(failure(error)).toEqual({
      status: 'fail',
      detail: '[PL7003 SDK_CONNECT_FAILED] Nobody listens.',
      fix: error.remedy,
    });
  });
});

describe('the setup time of a design', () => {
  const setup = { slackNs: -0.307, atHz: 199_998_001 };
  it('that its build missed is a warning with the figure and a way out', () => {
    expect(setupTime({ clockHz: 199_998_001, setup })).toMatchObject({
      status: 'warn',
      detail: expect.stringMatching(/misses timing at 200\.0 MHz by 0\.307 ns/),
      fix: expect.stringContaining('--clock 187.5'),
    });
    expect(setupTime({ clockHz: 190_000_000, setup })?.detail).toMatch(
      /misses timing at 190\.0 MHz by 0\.044 ns/,
    );
  });
  it('is met at a clock that is slow enough', () => {
    expect(setupTime({ clockHz: 187_500_000, setup })).toMatchObject({
      status: 'pass',
      detail: expect.stringMatching(/^0\.026 ns to spare at 187\.5 MHz/),
    });
    expect(setupTime({ clockHz: 100_000_000, setup })?.status).toBe('pass');
  });
  it('is no matter where nothing is known of it', () => {
    expect(setupTime({ clockHz: 100_000_000 })).toBeUndefined();
  });
});

describe('a device URL', () => {
  it('says what has to be reached', () => {
    expect(parseTarget('wss://[::1]:7787')).toMatchObject({ kind: 'ws', host: '::1', port: 7787 });
    expect(parseTarget('ws://pynq')).toMatchObject({ kind: 'ws', host: 'pynq', port: 80 });
    expect(parseTarget('mock:kv260').kind).toBe('mock');
    expect(parseTarget('ssh://xilinx@pynq').kind).toBe('ssh');
    expect(() => parseTarget('http://pynq')).toThrow('SDK_URL');
  });
});

describe('what systemd says of the service', () => {
  it('has the release that the link names', () => {
    const state = parseUnitState('LoadState=loaded\nMemoryCurrent=[not set]\nRelease=releases/0123abc\n');
    expect(state).toMatchObject({ installed: true, release: '0123abc', memoryBytes: undefined });
  });
  it('is nothing where there is no systemd', () => {
    expect(parseUnitState('Release=releases/0123abc\n')).toBeUndefined();
  });
});

it("the doctor's known generation is what llama.cpp computes", () => {
  const cases = readReference('test/reference/bundled.json').get('tiny-stories-Q3_K_M.gguf') ?? [];
  const known = cases.find(({ prompt }) => prompt === KNOWN_GENERATION.prompt);
  expect(known?.greedyTokens.slice(0, KNOWN_GENERATION.tokens.length)).toEqual([...KNOWN_GENERATION.tokens]);
});
