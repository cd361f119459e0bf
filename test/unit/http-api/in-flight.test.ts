import { expect, it } from 'vitest';
import { InFlight } from '../../../http-api/in-flight.js';

/** Enters one by one until it is refused. @returns what was entered */
function fill(inFlight: InFlight, share: readonly string[]): (() => void)[] {
  const entered: (() => void)[] = [];
  try {
    for (;;) entered.push(inFlight.enter(share, 1));
  } catch {
    return entered;
  }
}

it('one client has room for more than a hundred answers, and leaves as much to others, however many take all they can', () => {
  const inFlight = new InFlight();
  const counts = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name) => fill(inFlight, [name]).length);
  expect(counts[0]).toBeGreaterThan(100);
  expect(() => inFlight.enter(['modest'], 1)).not.toThrow();
});

it('the addresses of one token leave room to each other and to other tokens', () => {
  const inFlight = new InFlight();
  expect(fill(inFlight, ['token', 'address 0']).length).toBeGreaterThan(100);
  for (let i = 1; i < 200; i++) fill(inFlight, ['token', `address ${i}`]);
  expect(() => inFlight.enter(['other', 'address'], 50)).not.toThrow();
});

it('too many are refused with a 429, and leave room again when they have ended, once', () => {
  const inFlight = new InFlight();
  const entered = fill(inFlight, ['a']);
  expect(() => inFlight.enter(['a'], 1)).toThrow(/answers are under way for a/);
  entered[0]!();
  entered[0]!();
  inFlight.enter(['a'], 1);
  expect(() => inFlight.enter(['a'], 1)).toThrow(
    expect.objectContaining({ status: 429, retryAfterMs: 1_000 }),
  );
});
