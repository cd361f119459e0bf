import { describe, expect, it } from 'vitest';
import { firstComeFirstServed, staticBatch } from '../../../../bench/scheduling/policies.js';
import { type Outcome, simulate } from '../../../../bench/scheduling/simulate.js';
import { type Arrival, randomArrivals } from '../../../../bench/scheduling/workload.js';
import { schedule } from '../../../../llm/scheduling/index.js';
import { pacedLimits, type Timing } from './timings.js';

const NO_REFUSALS = { maxQueued: 1e6, maxWaitMs: { interactive: 1e12, batch: 1e12 } };

const batch = (count: number, promptTokens: number, outputTokens: number, client = 'night'): Arrival[] =>
  Array.from({ length: count }, () => ({ at: 0, class: 'batch', client, promptTokens, outputTokens }));

/** What the policy promises, in simulations where a step takes what it takes in this timing. */
export function simulationSuite(timing: Timing): void {
  const { cost, slower } = timing;
  const unlimited = { ...pacedLimits(timing), ...NO_REFUSALS };
  /** The same load for this timing. */
  const paced = <T extends { readonly at: number }>(arrivals: readonly T[]): T[] =>
    arrivals.map((one) => ({ ...one, at: one.at * slower }));

  describe('an interactive request under a full load of batch work', () => {
    const stepsToFirst = (promptTokens: number, load: readonly Arrival[]) => {
      const request: Arrival = {
        at: 60_000,
        class: 'interactive',
        client: 'ann',
        promptTokens,
        outputTokens: 2,
      };
      const { outcomes } = simulate(paced([...load, request]), schedule, {
        limits: unlimited,
        untilMs: 600_000 * slower,
        cost,
      });
      return outcomes.find((one) => one.class === 'interactive')!.stepsToFirst!;
    };

    it.each([1, 60, 64, 65, 128, 500, 1_000, 2_048])(
      'of %i tokens has its first token within two steps of an idle board',
      (promptTokens) => {
        const load = batch(60, 700, 200);
        expect(stepsToFirst(promptTokens, load)).toBeLessThanOrEqual(stepsToFirst(promptTokens, []) + 2);
      },
    );
  });

  describe('where memory holds two or three sequences', () => {
    const LIMITS = { limits: unlimited, pages: 70, cost };
    /** Interactive requests of 200 tokens from the second minute on. */
    const chats = (count: number, everyMs: number, outputTokens: number): Arrival[] =>
      Array.from({ length: count }, (_, i) => ({
        at: 60_000 + i * everyMs,
        class: 'interactive',
        client: `guest ${i}`,
        promptTokens: 200,
        outputTokens,
      }));
    const ended = ({ outcomes }: ReturnType<typeof simulate>) =>
      outcomes.every(({ tokenTimes, outputTokens }) => tokenTimes.length === outputTokens);

    it('an interactive request has its first token within two steps of an idle board under any load of batch work', () => {
      const [idle] = simulate(paced(chats(1, 0, 4)), schedule, LIMITS).outcomes;
      const run = simulate(paced([...batch(8, 300, 400), ...chats(40, 45_000, 10)]), schedule, LIMITS);
      const steps = run.outcomes
        .filter((one) => one.class === 'interactive')
        .map(({ stepsToFirst }) => stepsToFirst!);
      expect(run.preemptions).toBeGreaterThan(20);
      expect(Math.max(...steps)).toBeLessThanOrEqual(idle!.stepsToFirst! + 2);
      expect(ended(run)).toBe(true);
    });

    it('batch work goes on beside long interactive answers that fill it, and takes turns with them', () => {
      const answers = chats(2, 0, 300).map((one) => ({ ...one, at: 10_000, promptTokens: 100 }));
      const run = simulate(paced([...batch(1, 300, 60), ...answers]), schedule, { ...LIMITS, pages: 40 });
      expect(ended(run)).toBe(true);
      const gaps = (which: (one: Outcome) => boolean) =>
        run.outcomes
          .filter(which)
          .flatMap(({ tokenTimes }) => tokenTimes.slice(1).map((at, i) => at - tokenTimes[i]!));
      expect(
        gaps((one) => one.class === 'batch').filter((gap) => gap > 20_000 * slower).length,
      ).toBeGreaterThan(0);
      expect(Math.max(...gaps(() => true))).toBeLessThan(90_000 * slower);
    });
  });

  describe('nobody starves', () => {
    const greedy = { class: 'interactive', clients: ['greedy'], perSecond: 0.3, burst: 6 } as const;
    const arrivals = randomArrivals(
      [
        { ...greedy, promptTokens: 40, outputTokens: 60 },
        {
          class: 'interactive',
          clients: ['ann', 'bob'],
          perSecond: 0.02,
          promptTokens: 400,
          outputTokens: 20,
        },
        { class: 'batch', clients: ['night'], perSecond: 0.02, promptTokens: 300, outputTokens: 30 },
      ],
      400,
      7,
    );

    it('neither batch work nor long prompts, under more interactive requests than the board can serve', () => {
      const { outcomes, endedAt } = simulate(paced(arrivals), schedule, { limits: unlimited, cost });
      expect(outcomes.every(({ tokenTimes, outputTokens }) => tokenTimes.length === outputTokens)).toBe(true);
      const waits = (which: (one: Outcome) => boolean) =>
        outcomes.filter(which).map(({ at, tokenTimes }) => tokenTimes[0]! - at);
      expect(endedAt).toBeGreaterThan(800_000 * slower);
      expect(Math.max(...waits(({ client }) => client === 'ann' || client === 'bob'))).toBeLessThan(
        90_000 * slower,
      );
      expect(Math.max(...waits((one) => one.class === 'batch'))).toBeLessThan(endedAt / 2);
    });

    it('also where memory holds a few sequences only: those that give way come back', () => {
      const work = [...batch(20, 100, 300), ...arrivals.slice(0, 20)];
      const { outcomes, preemptions } = simulate(paced(work), schedule, {
        limits: unlimited,
        pages: 60,
        cost,
      });
      expect(outcomes.every(({ tokenTimes, outputTokens }) => tokenTimes.length === outputTokens)).toBe(true);
      expect(preemptions).toBeGreaterThan(0);
    });
  });

  describe('against clients that come ever anew, as many as the board can serve beside a queue of 20', () => {
    const guest = (i: number): Omit<Arrival, 'at'> => ({
      class: 'interactive',
      client: `guest ${i}`,
      promptTokens: 5,
      outputTokens: 12,
    });
    const served = simulate(
      Array.from({ length: 400 }, (_, i) => ({ at: 0, ...guest(i) })),
      schedule,
      { limits: unlimited, cost },
    );
    const msPerGuest = served.endedAt / 400;
    const guests = (priority: (i: number) => number): Arrival[] =>
      Array.from({ length: 500 }, (_, i) => ({
        ...guest(i),
        at: Math.max(0, i - 20) * 1.03 * msPerGuest,
        priority: priority(i),
      }));
    /** The longest wait for a first token, of those that `which` names. */
    const longestWait = (arrivals: readonly Arrival[], which: (one: Outcome) => boolean) => {
      const limits = { ...pacedLimits(timing), maxQueued: 1e6 };
      const { outcomes } = simulate(
        [...arrivals].sort((a, b) => a.at - b.at),
        schedule,
        { limits, cost },
      );
      expect(outcomes.filter(({ retryAfterMs }) => retryAfterMs !== undefined)).toEqual([]);
      return Math.max(...outcomes.filter(which).map(({ at, tokenTimes }) => tokenTimes[0]! - at));
    };
    /** What its own prompt takes beside those that generate: the synthesised core gains little from long steps. */
    const own = (timing.timing === 'systemc' ? 5_000 : 18_000) * slower;
    const long: Arrival = { ...guest(0), at: 1, client: 'long', promptTokens: 100 };
    const isLong = ({ client }: Outcome) => client === 'long';

    it('a long prompt waits little longer than the queue', () => {
      const queue = 20 * msPerGuest;
      expect(longestWait([...guests(() => 5), long], isLong)).toBeLessThan(queue + 30_000 * slower);
    });

    it('the lowest priority waits no longer than half of what it may, and its own prompt', () => {
      expect(longestWait([...guests(() => 9), { ...long, priority: 0 }], isLong)).toBeLessThan(
        60_000 * slower + own,
      );
    });

    it('with mixed priorities nobody waits longer than that', () => {
      const mixed = guests((i) => (7 * i) % 10).map((one, i) =>
        i % 25 === 0 ? { ...one, promptTokens: 60 } : one,
      );
      expect(longestWait(mixed, () => true)).toBeLessThan(60_000 * slower + own);
    });
  });

  describe('clients that always have more to do', () => {
    const shares = (weights: ReadonlyMap<string, number>) => {
      const work = [...batch(150, 300, 20, 'prompts'), ...batch(150, 20, 80, 'answers')];
      const { outcomes } = simulate(work, schedule, {
        limits: unlimited,
        weights,
        untilMs: 900_000 * slower,
        cost,
      });
      const columns = (client: string) => {
        const begun = outcomes.filter((one) => one.client === client && one.tokenTimes.length > 0);
        // Neither ever ran out of work.
        expect(begun.length).toBeLessThan(120);
        return begun.reduce((sum, one) => sum + one.promptTokens + one.tokenTimes.length, 0);
      };
      return columns('prompts') / columns('answers');
    };

    it('get equal parts of the board, within 10 %, however different their requests are', () => {
      const ratio = shares(new Map());
      expect(ratio).toBeGreaterThan(0.9);
      expect(ratio).toBeLessThan(1.1);
    });

    it('get parts by their weights', () => {
      const ratio = shares(new Map([['prompts', 3]]));
      expect(ratio).toBeGreaterThan(2.7);
      expect(ratio).toBeLessThan(3.3);
    });
  });

  describe('beside simple policies', () => {
    const arrivals = [
      ...batch(40, 300, 60),
      ...randomArrivals(
        [
          {
            class: 'interactive',
            clients: ['ann', 'bob'],
            perSecond: 0.04,
            promptTokens: 60,
            outputTokens: 30,
          },
        ],
        600,
        3,
      ),
    ];
    const run = (policy: typeof schedule) => {
      const { outcomes, endedAt } = simulate(paced(arrivals), policy, { limits: unlimited, cost });
      const firsts = outcomes
        .filter((one) => one.class === 'interactive')
        .map((one) => one.tokenTimes[0]! - one.at);
      const tokens = outcomes.reduce((sum, { tokenTimes }) => sum + tokenTimes.length, 0);
      return { first: firsts.reduce((a, b) => a + b) / firsts.length, rate: tokens / endedAt };
    };
    const ours = run(schedule);

    it.each([
      ['first come, first served', firstComeFirstServed],
      ['static batches', staticBatch],
    ])(
      '%s: interactive requests have their first token ten times sooner, at 0.9 of the rate or more',
      (_, policy) => {
        const theirs = run(policy);
        expect(theirs.first / ours.first).toBeGreaterThan(10);
        expect(ours.rate / theirs.rate).toBeGreaterThan(0.9);
      },
    );
  });
}
