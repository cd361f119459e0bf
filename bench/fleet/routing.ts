import type { FleetModel } from '../../fleet/index.js';
import { columnsThatPay, StepCost } from '../../llm/index.js';
import { percentile } from '../serve/percentiles.js';
import { PAGE_TOKENS } from './board-queue.js';
import { type Policy, type RoutedBoard, route } from './route.js';
import { type RoutingLoad, routedRequests } from './routing-load.js';
import { kv260, TIMINGS } from './timings.js';

const PLACES = 8;
const MAX_COLUMNS = 64;
/** Pages of keys and values that a board holds: 16,384 tokens. */
const PAGES = 1024;
const POLICIES: readonly Policy[] = ['least loaded', 'longest prefix', 'predicted cycles'];
/** What of the boards' time the requests would take, were every page found that any board has computed before. */
const LOAD = 0.6;
const CONVERSATIONS = 60;
/** Loads of a kind, each of other random numbers. */
const SEEDS = [1, 2, 3];

/** A policy under a load. Plain data. */
export interface RoutingRow {
  readonly load: string;
  readonly timing: string;
  readonly boards: number;
  readonly policy: Policy;
  /** Seconds to the first token: the median, and what 95 % do not exceed. */
  readonly median: number;
  readonly p95: number;
  /** The busiest board's time over the mean, and the same of requests: of the loads the most. */
  readonly busiest: number;
  readonly mostServed: number;
}

interface Scenario {
  readonly name: string;
  readonly systemPages: readonly number[];
  readonly mostTurns: number;
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'conversations under 12 system prompts',
    systemPages: Array.from({ length: 12 }, (_, i) => 20 + ((7 * i) % 24)),
    mostTurns: 4,
  },
  { name: 'one hot prefix', systemPages: [64], mostTurns: 1 },
];

/** Placement by predicted cycles beside simpler policies: links count for nothing beside prompts. */
export function routingRows(model: FleetModel): RoutingRow[] {
  return TIMINGS.filter(({ unpack }) => unpack === 'words').flatMap((timing) =>
    [4, 8].flatMap((count) => {
      const board = kv260(timing);
      const cost = new StepCost(model.step, board);
      const stepMs = (columns: number, logits?: number) => cost.ms(columns, logits);
      const promptColumns = columnsThatPay(MAX_COLUMNS, PAGE_TOKENS, (n, logits) => cost.cycles(n, logits));
      const boards = new Array<RoutedBoard>(count).fill({
        stepMs,
        promptColumns,
        places: PLACES,
        mostPages: PAGES,
      });
      return SCENARIOS.flatMap((scenario) => {
        const loads = SEEDS.map((seed) => routedRequests(paced(scenario, seed, count, cost, promptColumns)));
        return POLICIES.map((policy): RoutingRow => {
          const runs = loads.map((requests) => route(requests, boards, policy));
          const seconds = runs.flatMap(({ firstTokenMs }) => firstTokenMs.map((ms) => ms / 1_000));
          return {
            load: scenario.name,
            timing: timing.name,
            boards: count,
            policy,
            median: percentile(seconds, 0.5),
            p95: percentile(seconds, 0.95),
            busiest: Math.max(...runs.map(({ busyMs }) => overMean(busyMs))),
            mostServed: Math.max(...runs.map(({ served }) => overMean(served))),
          };
        });
      });
    }),
  );
}

/** The load that keeps so many boards busy for the same part of their time in every timing. */
function paced(
  scenario: Scenario,
  seed: number,
  boards: number,
  cost: StepCost,
  promptColumns: number,
): RoutingLoad {
  const load = { ...scenario, conversations: CONVERSATIONS * boards, thinkMs: 0, gapMs: 0, seed };
  const promptMs = cost.ms(promptColumns, 0) / promptColumns;
  const tokenMs = cost.ms(PLACES) / PLACES;
  const seen = new Set<number>();
  const workMs = routedRequests(load).reduce((sum, { pages, promptTokens, answerPages, answerTokens }) => {
    const found = pages.filter((page) => seen.has(page)).length;
    for (const page of [...pages, ...answerPages]) seen.add(page);
    return sum + (promptTokens - PAGE_TOKENS * found) * promptMs + answerTokens * tokenMs;
  }, 0);
  const gapMs = workMs / (LOAD * boards * load.conversations);
  return { ...load, gapMs, thinkMs: 5 * gapMs * boards };
}

function overMean(values: readonly number[]): number {
  return (Math.max(...values) * values.length) / values.reduce((sum, value) => sum + value, 0);
}
