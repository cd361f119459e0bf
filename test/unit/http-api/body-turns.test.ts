import { expect, it } from 'vitest';
import { BodyTurns } from '../../../http-api/body-turns.js';
import { TestClock } from '../protocol/test-clock.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bodies that say in `log` when they begin, and how they fail. */
function setUp() {
  const clock = new TestClock();
  const turns = new BodyTurns(clock);
  const log: string[] = [];
  const enter = (client: string, name: string) => {
    const body = { received: 0, leave: () => {} };
    body.leave = turns.enter({
      client,
      received: () => body.received,
      begin: () => log.push(name),
      fail: ({ status }) => log.push(`${name} ${status}`),
    });
    return body;
  };
  return { clock, turns, log, enter };
}

it('one body is read at a time, and the turns go round between clients', () => {
  const { log, enter } = setUp();
  const bodies = ['a1', 'a2', 'a3', 'b1', 'c1', 'b2'].map((name) => enter(name[0], name));
  expect(log).toEqual(['a1']);
  const byName = new Map(['a1', 'a2', 'a3', 'b1', 'c1', 'b2'].map((name, i) => [name, bodies[i]]));
  for (let turn = 0; turn < 6; turn++) byName.get(log[turn])?.leave();
  expect(log).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2']);
});

it('who leaves while it waits, or leaves twice, takes nobody’s turn', () => {
  const { log, enter } = setUp();
  const [first, second, third] = ['1', '2', '3'].map((name) => enter('a', name));
  second.leave();
  second.leave();
  expect(log).toEqual(['1']);
  first.leave();
  first.leave();
  expect(log).toEqual(['1', '3']);
  enter('a', '4');
  expect(log).toEqual(['1', '3']);
  third.leave();
  expect(log).toEqual(['1', '3', '4']);
});

it('a slow line may take its time, unless others wait', () => {
  const { clock, log, enter } = setUp();
  const reading = enter('a', 'reading');
  // At a pace that is enough only while nobody waits.
  for (let second = 0; second < 25; second++) {
    clock.advance(1_000);
    reading.received += 20 * KIB;
  }
  expect(log).toEqual(['reading']);
  enter('b', 'waiting');
  clock.advance(1_000);
  expect(log.toSorted()).toEqual(['reading', 'reading 408', 'waiting']);
});

it('a sender of a byte now and then loses its place within seconds, and the next one has it', () => {
  const { clock, log, enter } = setUp();
  const slow = enter('a', 'slow');
  enter('b', 'next');
  for (let second = 0; second < 6; second++) {
    clock.advance(1_000);
    slow.received++;
  }
  expect(log.toSorted()).toEqual(['next', 'slow', 'slow 408']);
});

it('a machine that stood still for a while blames nobody for it', () => {
  const { clock, log, enter } = setUp();
  enter('a', 'reading');
  clock.sleep(60_000);
  clock.advance(3_000);
  expect(log).toEqual(['reading']);
});

it('who waits too long is told to come again', () => {
  const { clock, turns, log, enter } = setUp();
  turns.keep(100 * MIB);
  enter('a', 'waiting');
  clock.advance(19_999);
  expect(log).toEqual([]);
  clock.advance(1);
  expect(log).toEqual(['waiting 503']);
});

it('no body is begun while much of those before is kept, and one is as soon as it is let go', () => {
  const { turns, log, enter } = setUp();
  const letGo = [turns.keep(20 * MIB), turns.keep(20 * MIB)];
  enter('a', 'waiting');
  letGo[0]();
  expect(log).toEqual(['waiting']);
});

it('where all places are taken, who has most of them gives one to who has fewer', () => {
  const { log, enter } = setUp();
  for (let i = 0; i < 33; i++) enter('greedy', `greedy${i}`);
  expect(log).toEqual(['greedy0']);
  enter('greedy', 'one more');
  enter('modest', 'modest');
  expect(log).toEqual(['greedy0', 'one more 503', 'greedy32 503']);
});
