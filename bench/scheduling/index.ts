import { columnsThatPay, draftLength, type StepCost, schedule } from '../../llm/index.js';
import { type BenchOptions, type BenchRow, row } from '../row.js';
import { percentile } from '../serve/percentiles.js';
import { firstComeFirstServed, staticBatch } from './policies.js';
import { recordedArrivals } from './recorded.js';
import { type Outcome, PAGE_TOKENS, type Simulation, simulate } from './simulate.js';
import { MAX_COLUMNS, STEP_COSTS } from './step-cost.js';
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
export function benchSchedule(options: BenchOptions): BenchRow[] {
  return Object.entries(STEP_COSTS).flatMap(([timing, cost]) => [
    ...worth(timing, cost),
    ...(timing in SIMULATED ? policies(timing, cost, options) : []),
  ]);
}

/** The unpacker's two speeds differ less than the two timings: policies are simulated in these. */
const SIMULATED = { synthesised: true, systemc: true };

/** What it is worth to compute several columns in a step. */
function worth(timing: string, cost: StepCost): BenchRow[] {
  const token = cost.ms(1);
  const step = columnsThatPay(MAX_COLUMNS, PAGE_TOKENS, (columns, logits) => cost.cycles(columns, logits));
  let prompt = 0;
  for (let done = 0; done < 64; done += step) {
    const columns = Math.min(step, 64 - done);
    prompt += cost.ms(columns, done + columns === 64 ? 1 : 0);
  }
  const draft = draftLength(
    () => 1,
    MAX_COLUMNS,
    (columns) => cost.cycles(columns),
  );
  const cell = (of: string, value: number, baseline: number) =>
    row(`schedule (${timing}) ${of}`, value, 'ms', baseline);
  return [
    cell('a token, of one sequence', token, token),
    cell('a token, of 8 sequences', cost.ms(8) / 8, token),
    cell(`a token of a prompt of 64, ${step} columns a step`, prompt / 64, token),
    cell(
      `a token, ${draft} drafted, as by prompt lookup, and all of them right`,
      cost.ms(1 + draft) / (1 + draft),
      token,
    ),
  ];
}

function policies(timing: string, cost: StepCost, { quick, onNote }: BenchOptions): BenchRow[] {
  // The same load in each timing: what comes in an hour where the board is four times as fast comes in four hours here.
  const slower = cost.ms(8) / STEP_COSTS.systemc.ms(8);
  return SCENARIOS.flatMap(({ name, arrivals }) => {
    onNote(`schedule (${timing}): ${name}`);
    const requests = arrivals(quick).map((one) => ({ ...one, at: one.at * slower }));
    const ours = simulate(requests, schedule, { limits: NO_REFUSALS, cost });
    return BASELINES.flatMap((baseline) => {
      const theirs = simulate(requests, baseline.policy, { limits: NO_REFUSALS, cost });
      return FIGURES.flatMap(({ of, unit, figure }) => {
        const [value, other] = [figure(ours), figure(theirs)];
        // NaN of a figure that a scenario does not have.
        return Number.isNaN(value) || Number.isNaN(other)
          ? []
          : [row(`schedule (${timing}) ${name}: ${of}, against ${baseline.name}`, value, unit, other)];
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
