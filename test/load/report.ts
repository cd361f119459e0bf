import type { Answered } from './answer.js';
import { growthOf, type MemorySample, total } from './observe.js';

/** Milliseconds. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly most: number;
}

export interface LoadReport {
  readonly seconds: number;
  readonly clients: number;
  readonly seed: number;
  readonly requests: number;
  /** `done`, `cancelled`, `refused CODE`, `failed CODE`. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Of requests for one answer whose clients read as fast as they can; those without a stream have no first token. */
  readonly latencyMs: Readonly<
    Record<'interactive' | 'batch', Record<'firstToken' | 'betweenTokens' | 'whole', Percentiles>>
  >;
  readonly perSecond: { readonly requests: number; readonly steps: number; readonly columns: number };
  readonly preemptions: number;
  readonly faults: { readonly due: number; readonly seen: number; readonly recovered: number };
  readonly memory: {
    readonly samples: readonly MemorySample[];
    readonly growthMibPerMinute: number;
    /** Undefined where the run was too short to tell. */
    readonly limitMibPerMinute: number | undefined;
  };
  /** Everything that should not have been; the run has passed without. */
  readonly mistakes: readonly string[];
}

export interface Observed {
  readonly seconds: number;
  readonly clients: number;
  readonly seed: number;
  readonly answered: readonly Answered[];
  readonly metrics: ReadonlyMap<string, number>;
  readonly faultsDue: number;
  readonly memory: readonly MemorySample[];
  readonly mistakes: readonly string[];
}

/** What a process may grow by: less than what an hour would make noticeable. */
const MOST_MIB_PER_MINUTE = 4;
/** The agent keeps ended generations for half a minute; before some times that its memory has reached no steady state. */
const LEAST_SECONDS = 240;

/** Mistakes that people read; the others are counted, and in the JSON. */
const MOST_SHOWN = 20;

/** Adds up what was observed, and judges memory and faults. */
export function reportOf(observed: Observed): LoadReport {
  const { seconds, clients, seed, answered, metrics, faultsDue, memory } = observed;
  const outcomes: Record<string, number> = {};
  for (const { outcome } of answered) {
    const name = 'code' in outcome ? `${outcome.kind} ${outcome.code}` : outcome.kind;
    outcomes[name] = (outcomes[name] ?? 0) + 1;
  }
  const growth = growthOf(memory);
  const limit = seconds < LEAST_SECONDS ? undefined : MOST_MIB_PER_MINUTE;
  const faults = {
    due: faultsDue,
    seen: total(metrics, 'step_faults_total'),
    recovered: total(metrics, 'step_recoveries_total'),
  };
  const mistakes = [...observed.mistakes];
  if (limit !== undefined && growth > limit)
    mistakes.push(`memory grows by ${growth.toFixed(1)} MiB a minute, more than ${limit}`);
  if (faults.seen < faults.due) mistakes.push(`${faults.due} faults were due and ${faults.seen} were seen`);
  return {
    seconds,
    clients,
    seed,
    requests: answered.length,
    outcomes,
    latencyMs: { interactive: latencyOf(answered, 'interactive'), batch: latencyOf(answered, 'batch') },
    perSecond: {
      requests: answered.length / seconds,
      steps: total(metrics, 'steps_total') / seconds,
      columns: total(metrics, 'columns_total') / seconds,
    },
    preemptions: total(metrics, 'preemptions_total'),
    faults,
    memory: { samples: memory, growthMibPerMinute: growth, limitMibPerMinute: limit },
    mistakes,
  };
}

function latencyOf(answered: readonly Answered[], service: 'interactive' | 'batch') {
  const times = answered
    .filter(
      ({ request, outcome }) =>
        request.service === service &&
        request.behaviour === 'read' &&
        request.answers === 1 &&
        outcome.kind === 'done',
    )
    .map(({ reading }) => reading.times);
  return {
    firstToken: percentiles(times.flatMap(({ first }) => first ?? [])),
    betweenTokens: percentiles(times.flatMap(({ between }) => between)),
    whole: percentiles(times.map(({ whole }) => whole)),
  };
}

/** By nearest rank. */
function percentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), most: at(1) };
}

/** The report for people. */
export function toText(report: LoadReport): string {
  const { perSecond, faults, memory, mistakes } = report;
  const row = (cells: readonly (string | number)[]) =>
    cells.map((cell, i) => (i === 0 ? String(cell).padEnd(30) : String(cell).padStart(9))).join('');
  const latencies = (['interactive', 'batch'] as const).flatMap((service) =>
    (
      [
        ['first token', 'firstToken'],
        ['between tokens', 'betweenTokens'],
        ['whole answer', 'whole'],
      ] as const
    ).map(([title, name]) => {
      const { count, ...rest } = report.latencyMs[service][name];
      return row([`${service}, ${title}`, count, ...Object.values(rest).map((ms) => ms.toFixed(0))]);
    }),
  );
  const limit = memory.limitMibPerMinute;
  const mib = memory.samples.map((sample) => sample.mib.toFixed(0)).join(' ');
  return [
    `${report.clients} clients for ${report.seconds.toFixed(0)} s, seed ${report.seed}: ${report.requests} requests`,
    ...Object.entries(report.outcomes).map(([name, count]) => row([`  ${name}`, count])),
    row(['milliseconds', 'count', 'p50', 'p90', 'p99', 'most']),
    ...latencies,
    `a second: ${perSecond.requests.toFixed(1)} requests, ${perSecond.steps.toFixed(1)} steps, ${perSecond.columns.toFixed(0)} columns`,
    `preemptions: ${report.preemptions}`,
    `faults: ${faults.due} due, ${faults.seen} seen, ${faults.recovered} steps recovered`,
    `memory of the agent, MiB: ${mib}`,
    `  grows by ${memory.growthMibPerMinute.toFixed(2)} MiB a minute; ${limit === undefined ? 'the run is too short to judge it' : `at most ${limit} may be`}`,
    ...mistakes.slice(0, MOST_SHOWN).map((mistake) => `WRONG: ${mistake}`),
    mistakes.length === 0 ? 'passed' : `failed: ${mistakes.length} mistakes`,
    '',
  ].join('\n');
}
