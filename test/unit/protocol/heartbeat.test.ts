import { describe, expect, it } from 'vitest';
import { Heartbeat } from '../../../protocol/index.js';
import { TestClock } from './test-clock.js';

function heartbeat() {
  const clock = new TestClock();
  const seen = { beats: 0, silences: [] as number[] };
  const line = { received: 0 };
  const sut = new Heartbeat(clock, {
    beat: () => seen.beats++,
    onSilence: (silentMs) => seen.silences.push(silentMs),
    received: () => line.received,
  });
  return { clock, seen, line, sut };
}

describe('a heartbeat', () => {
  it('beats every ten seconds and ends after three beats that nothing answered', () => {
    const { clock, seen } = heartbeat();
    clock.advance(39_999);
    expect(seen).toEqual({ beats: 3, silences: [] });
    clock.advance(1);
    expect(seen).toEqual({ beats: 3, silences: [40_000] });
    clock.advance(100_000);
    expect(seen.silences).toHaveLength(1);
  });

  it('goes on while anything comes from the other side, however late', () => {
    const { clock, seen, sut } = heartbeat();
    for (let i = 0; i < 20; i++) {
      clock.advance(29_000);
      sut.heard();
    }
    expect(seen.silences).toEqual([]);
  });

  it.each([
    ['goes on while a long frame comes in slowly', 1_024, []],
    ['takes a byte now and then for silence', 100, [40_000]],
  ])('%s', (_, bytesPerBeat, silences) => {
    const { clock, seen, line } = heartbeat();
    for (let i = 0; i < 20; i++) {
      line.received += bytesPerBeat;
      clock.advance(10_000);
    }
    expect(seen.silences).toEqual(silences);
  });

  it('blames nobody for its own process having slept', () => {
    const { clock, seen, sut } = heartbeat();
    clock.sleep(3_600_000);
    clock.advance(1);
    expect(seen).toEqual({ beats: 1, silences: [] });
    sut.heard();
    clock.advance(30_000);
    expect(seen.silences).toEqual([]);
  });

  it('is silent once it was stopped', () => {
    const { clock, seen, sut } = heartbeat();
    sut.stop();
    clock.advance(100_000);
    expect(seen).toEqual({ beats: 0, silences: [] });
  });
});
