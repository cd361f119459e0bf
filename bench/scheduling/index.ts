import { schedule } from '../../llm/index.js';
import { type BenchOptions, type BenchRow, row } from '../row.js';
import { percentile } from '../serve/percentiles.js';
import { firstComeFirstServed, staticBatch } from './policies.js';
import { recordedArrivals } from './recorded.js';
import { type Outcome, type Simulation, simulate } from './simulate.js';
import { type Arrival, randomArrivals } from './workload.js';

const BASELINES = [
  { name: 'first come first served', policy: firstComeFirstServed },
  { name: 'static batch', policy: staticBatch },
] as const;

/** Nothing is refused, so that every policy serves the same requests. */
const NO_REFUSALS = { maxQueued: 1_000_000, maxWaitMs: { interactive: 1e12, batch: 1e12 } } as const;

interface Scenario {
  readonly name: string;
  readonly arrivals: (quick: boolean) => Arrival[];
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'chats beside a night’s batch',
    arrivals: (quick) =>
      randomArrivals(
        [
          {
            class: 'interactive',
            clients: ['ann', 'bob', 'cat'],
            perSecond: 1 / 25,
            promptTokens: 60,
            outputTokens: 40,
          },
          {
            class: 'batch',
            clients: ['night'],
            perSecond: 1 / 20,
            burst: 20,
            promptTokens: 200,
            outputTokens: 80,
          },
        ],
        quick ? 300 : 1_800,
        1,
      ),
  },
  {
    name: 'one greedy client',
    arrivals: (quick) =>
      randomArrivals(
        [
          {
            class: 'interactive',
            clients: ['greedy'],
            perSecond: 1 / 6,
            burst: 12,
            promptTokens: 80,
            outputTokens: 60,
          },
          {
            class: 'interactive',
            clients: ['modest'],
            perSecond: 1 / 60,
            promptTokens: 80,
            outputTokens: 60,
          },
        ],
        quick ? 300 : 1_800,
        2,
      ),
  },
  { name: 'recorded arrivals', arrivals: () => recordedArrivals() },
];

/** Simulates the policy of llm/scheduling beside simple ones, by the core's cycle formulas: the same figures on every machine. */
export function benchSchedule({ quick, onNote }: BenchOptions): BenchRow[] {
  return SCENARIOS.flatMap(({ name, arrivals }) => {
    onNote(`schedule: ${name}`);
    const requests = arrivals(quick);
    const ours = simulate(requests, schedule, { limits: NO_REFUSALS });
    return BASELINES.flatMap((baseline) => {
      const theirs = simulate(requests, baseline.policy, { limits: NO_REFUSALS });
      return FIGURES.flatMap(({ of, unit, figure }) => {
        const [value, other] = [figure(ours), figure(theirs)];
        // NaN of a figure that a scenario does not have.
        return Number.isNaN(value) || Number.isNaN(other)
          ? []
          : [row(`schedule ${name}: ${of}, against ${baseline.name}`, value, unit, other)];
      });
    });
  });
}

type Figure = (simulation: Simulation) => number;

const isInteractive = (one: Outcome) => one.class === 'interactive';
const isModest = (one: Outcome) => one.client === 'modest';
const isBatch = (one: Outcome) => one.class === 'batch';

const FIGURES: readonly { readonly of: string; readonly unit: string; readonly figure: Figure }[] = [
  { of: 'first token of interactive requests, median', unit: 's', figure: firstToken(isInteractive, 0.5) },
  { of: 'first token of interactive requests, 95 %', unit: 's', figure: firstToken(isInteractive, 0.95) },
  { of: 'first token of the modest client, 95 %', unit: 's', figure: firstToken(isModest, 0.95) },
  { of: 'between tokens of interactive requests, 95 %', unit: 's', figure: betweenTokens },
  { of: 'batch requests, mean time to the end', unit: 's', figure: meanEnd },
  { of: 'tokens a second', unit: '1/s', figure: throughput },
];

function firstToken(which: (one: Outcome) => boolean, share: number): Figure {
  return ({ outcomes }) =>
    percentile(
      outcomes.filter(which).map(({ at, tokenTimes }) => (tokenTimes[0]! - at) / 1_000),
      share,
    );
}

function betweenTokens({ outcomes }: Simulation): number {
  const gaps = outcomes
    .filter(isInteractive)
    .flatMap(({ tokenTimes }) => tokenTimes.slice(1).map((time, i) => (time - tokenTimes[i]!) / 1_000));
  return percentile(gaps, 0.95);
}

function meanEnd({ outcomes }: Simulation): number {
  const ends = outcomes.filter(isBatch).map(({ at, tokenTimes }) => (tokenTimes.at(-1)! - at) / 1_000);
  return ends.reduce((sum, end) => sum + end, 0) / ends.length;
}

function throughput({ outcomes, endedAt }: Simulation): number {
  return outcomes.reduce((sum, { tokenTimes }) => sum + tokenTimes.length, 0) / (endedAt / 1_000);
}
