import { describe, expect, it } from 'vitest';
import { type Outcome, simulate } from '../../../../bench/scheduling/simulate.js';
import type { Arrival } from '../../../../bench/scheduling/workload.js';
import { schedule } from '../../../../llm/scheduling/index.js';
import { pacedLimits, TIMINGS, type Timing } from './timings.js';

const USERS = 8;
const RUN_MS = 20 * 60_000;
/** Nobody sends a request so late that it could not be answered. */
const SENDS_MS = 0.9 * RUN_MS;
interface User extends Pick<Arrival, 'client' | 'promptTokens' | 'outputTokens' | 'priority'> {
  /** Requests that it always has under way: the next one comes when one has ended, or is asked again when refused. */
  readonly inFlight?: number;
  /** Without that it sends one so often, whatever became of those before; those refused are asked again. */
  readonly everyMs?: number;
  /** What it calls itself in its next request. */
  readonly nameOf?: (request: number) => string;
  /** Asks again after so long, whatever it was told. */
  readonly impatientMs?: number;
}

function arrivalsOf({ inFlight, everyMs = 0, ...user }: User, offset: number): Arrival[] {
  return Array.from({ length: inFlight ?? Math.floor(SENDS_MS / everyMs) }, (_, i) =>
    request(user, inFlight === undefined ? offset + i * everyMs : 0),
  );
}

let requests = 0;
function request({ client, promptTokens, outputTokens, priority, nameOf }: User, at: number): Arrival {
  const asked = { at, class: 'interactive', client, promptTokens, outputTokens } as const;
  return { ...asked, ...(nameOf && { name: nameOf(requests++) }), ...(priority && { priority }) };
}

/** What each user had of the board, in columns, at the pace of the core's timing. */
function columnsOf(users: readonly User[], timing: Timing): Map<string, number> {
  const { cost, slower } = timing;
  const first = users
    .flatMap((user, i) => arrivalsOf(user, 200 * i))
    .map((one) => ({ ...one, at: one.at * slower }))
    .sort((a, b) => a.at - b.at);
  const next = ({ client, retryAfterMs }: Outcome, now: number) => {
    const user = users.find((one) => one.client === client)!;
    if (retryAfterMs !== undefined)
      return request(user, now + (user.impatientMs === undefined ? retryAfterMs : user.impatientMs * slower));
    return user.inFlight === undefined ? undefined : request(user, now);
  };
  const { outcomes } = simulate(first, schedule, {
    next,
    untilMs: RUN_MS * slower,
    limits: pacedLimits(timing),
    cost,
  });
  const columns = new Map(users.map(({ client }) => [client, 0]));
  for (const one of outcomes) columns.set(one.client, columns.get(one.client)! + one.columns);
  return columns;
}

/** Columns that it wants in the run; one that asks again after every answer wants what it has alone. */
function demandOf(user: User, timing: Timing): number {
  if (user.inFlight !== undefined) return columnsOf([user], timing).get(user.client)!;
  return arrivalsOf(user, 0).length * (user.promptTokens + user.outputTokens - 1);
}

/** Of each modest user: what it had, of the smaller of its demand and an equal share. */
function partsOf(greedy: User, modest: readonly User[], timing: Timing): number[] {
  const columns = columnsOf([greedy, ...modest], timing);
  const all = [...columns.values()].reduce((sum, one) => sum + one, 0);
  return modest.map(
    (user) => columns.get(user.client)! / Math.min(demandOf(user, timing), all / (1 + modest.length)),
  );
}

const GREEDY: User = {
  client: 'greedy',
  inFlight: 100,
  promptTokens: 80,
  outputTokens: 60,
  impatientMs: 1_000,
};
const alike = (rest: Partial<User>): User[] =>
  Array.from({ length: USERS - 1 }, (_, i) => ({
    client: `modest ${i}`,
    promptTokens: 80,
    outputTokens: 60,
    ...rest,
  }));
/** Their requests, and what they want: a fifth of an equal share to more than all of the board. */
const VARIOUS = alike({}).map((user, i) => ({
  ...user,
  promptTokens: [20, 400, 80, 80, 80, 30, 700][i]!,
  outputTokens: [120, 20, 60, 30, 60, 10, 100][i]!,
  ...[
    { everyMs: 60_000 },
    { everyMs: 90_000 },
    { everyMs: 75_000 },
    { everyMs: 20_000 },
    { inFlight: 12 },
    { everyMs: 10_000 },
    { everyMs: 200_000 },
  ][i],
}));

/** What the greedy user does. */
const HOW = {
  'under one name': GREEDY,
  'that calls itself anew with every request': { ...GREEDY, nameOf: (i: number) => `name ${i}` },
  'in a hundred sessions': { ...GREEDY, nameOf: (i: number) => `session ${i % 100}` },
  'with long answers': { ...GREEDY, outputTokens: 600 },
  'with long prompts': { ...GREEDY, promptTokens: 1_000, outputTokens: 10 },
  'with many short requests': { ...GREEDY, promptTokens: 5, outputTokens: 2 },
  'with the highest priority': { ...GREEDY, priority: 9 },
} satisfies Record<string, User>;
/** What the others do. */
const WHAT = {
  'one request at a time': alike({ inFlight: 1 }),
  'a request each half minute': alike({ everyMs: 30_000 }),
  'a request each minute': alike({ everyMs: 60_000 }),
  'more to do than there is room for': alike({ inFlight: 8 }),
  'various demands': VARIOUS,
};

/** Fails unless a client whose requests go by so many names has no more of the board than each of two others. */
function hasNoMoreThanAThird(names: number, timing: Timing): void {
  const other: User = { client: 'other', inFlight: 10, promptTokens: 100, outputTokens: 30 };
  const share = { ...other, client: 'share', inFlight: 40 };
  const users = [
    { ...share, nameOf: (i: number) => `name ${i % names}` },
    other,
    { ...other, client: 'third' },
  ];
  const columns = columnsOf(users, timing);
  const all = [...columns.values()].reduce((sum, one) => sum + one, 0);
  const request = share.promptTokens + share.outputTokens;
  expect(Math.abs(columns.get('share')! - all / 3)).toBeLessThan(0.02 * all + request);
}

/** Of the smaller of its demand and an equal share. */
const LEAST = 0.8;

/**
 * What each user has of the board, in every timing of the core.
 * @param cases what the greedy user does, and the others
 * @param names that a client divides its share by
 */
export function describeShares(
  cases: readonly (readonly [keyof typeof HOW, keyof typeof WHAT])[],
  names: readonly number[],
): void {
  describe.each(TIMINGS)('in the $timing timing', (timing) => {
    describe('eight users, one with 100 requests in flight: each modest one has 80 % of the smaller of its demand and an equal share', () => {
      it.each(cases)(
        '%s, beside users with %s',
        (how, what) => {
          expect(Math.min(...partsOf(HOW[how], WHAT[what], timing))).toBeGreaterThanOrEqual(LEAST);
        },
        120_000,
      );
    });

    describe('a client that divides its share', () => {
      it.each(names)('by %i names has no more of the board than without any', (count) =>
        hasNoMoreThanAThird(count, timing),
      );
    });
  });
}
