import { describe, expect, it } from 'vitest';
import { LimitedLog, type Log } from '../../../listen/index.js';
import { TestClock } from '../protocol/test-clock.js';

function limited() {
  const lines: { readonly facts: object; readonly message: string }[] = [];
  const take = (facts: object, message: string) => void lines.push({ facts, message });
  const log: Log = { info: take, warn: take, error: take };
  const clock = new TestClock();
  return { lines, clock, log: new LimitedLog(log, clock) };
}

describe('a log of what clients do', () => {
  it('has so many lines of a kind a minute, then how many were left out', () => {
    const { lines, clock, log } = limited();
    for (let i = 0; i < 5_000; i++) log.warn({ i }, 'refused');
    expect(lines).toHaveLength(20);
    clock.advance(60_000);
    expect(lines.at(-1)).toEqual({
      facts: { leftOut: 4_980, of: 'refused' },
      message: 'lines of the log were left out',
    });
    log.warn({}, 'refused');
    expect(lines).toHaveLength(22);
  });

  it('has lines of another kind meanwhile', () => {
    const { lines, log } = limited();
    for (let i = 0; i < 100; i++) log.warn({}, 'refused');
    log.error({}, 'device worker lost');
    expect(lines.at(-1)?.message).toBe('device worker lost');
  });

  it('says nothing of lines left out where none were', () => {
    const { lines, clock, log } = limited();
    log.info({}, 'opened');
    clock.advance(120_000);
    expect(lines).toHaveLength(1);
  });

  it('cuts what a client says of itself, and drives no terminal', () => {
    const { lines, log } = limited();
    log.warn({ origin: `\u001b]0;title\u0007${'x'.repeat(16_000)}`, count: 3 }, 'refused');
    expect(lines[0].facts).toEqual({ origin: expect.stringMatching(/^[\x20-\x7e]{2000,2100}…$/), count: 3 });
  });
});
