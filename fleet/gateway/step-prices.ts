import type { ModelStore } from '../../agent/index.js';
import type { BoardDescription } from '../../board/index.js';
import type { Log } from '../../listen/index.js';
import {
  columnsThatPay,
  DEFAULT_MAX_COLUMNS,
  type LayerRange,
  PAGE_TOKENS,
  type StepCost,
} from '../../llm/index.js';
import { stepCost } from '../exact-types.js';
import type { Plan } from '../pipeline/plan-record.js';
import { readFleetModel } from '../plan/fleet-model.js';
import { type Boards, type FleetBoard, modelOf } from './boards.js';

/** What steps of a model take on a board. */
export interface StepPrice {
  readonly stepMs: (columns: number, logits?: number) => number;
  /** Columns of prompts that a step takes. */
  readonly promptColumns: number;
}

/** Some layers of a model, on a board of this description, or by rows on several. */
interface PricedStage {
  readonly boards: readonly BoardDescription[];
  readonly range?: LayerRange | undefined;
}

interface StepPricesOptions {
  readonly store: Pick<ModelStore, 'path'>;
  readonly log: Log;
  readonly boards: Pick<Boards, 'get' | 'all'>;
  /** The plan with a number. */
  readonly planOf: (number: number) => Plan | undefined;
}

/** What steps take, in each board's own timing: from the model's header, read once while boards have it. */
export class StepPrices {
  readonly #options: StepPricesOptions;
  readonly #prices = new Map<string, StepPrice>();

  constructor(options: StepPricesOptions) {
    this.#options = options;
  }

  /** For requests that this board has: where other boards have layers before its own, the slowest of them counts. */
  of(model: string, board: FleetBoard): StepPrice {
    const stages = this.#stagesOf(model, board);
    const key = keyOf(model, stages);
    const known = this.#prices.get(key);
    if (known !== undefined) return known;
    this.#forgetGone();
    const price = this.#price(model, stages);
    this.#prices.set(key, price);
    return price;
  }

  /** Of models that no board has any more, and of plans that are over. */
  #forgetGone(): void {
    const keysOf = (board: FleetBoard) =>
      board.record.models.map(({ digest }) => keyOf(digest, this.#stagesOf(digest, board)));
    const there = new Set(this.#options.boards.all.flatMap(keysOf));
    for (const key of this.#prices.keys()) if (!there.has(key)) this.#prices.delete(key);
  }

  #stagesOf(model: string, { record }: FleetBoard): PricedStage[] {
    const { boards, planOf } = this.#options;
    const number = modelOf(record, model)?.stage?.plan;
    const plan = number === undefined ? undefined : planOf(number);
    const stages = (plan?.stages ?? []).flatMap(({ boards: members, from, to }) => {
      const there = members.flatMap(({ board }) => boards.get(board)?.record.info.description ?? []);
      return there.length === 0 ? [] : [{ boards: there, range: { from, to } }];
    });
    return stages.length === 0 ? [{ boards: [record.info.description] }] : stages;
  }

  #price(digest: string, stages: readonly PricedStage[]): StepPrice {
    const { store, log } = this.#options;
    try {
      const { step } = readFleetModel(store.path(digest));
      const costs = stages.map(({ boards, range }) => ({
        costs: boards.map((board) => stepCost(step, board)),
        range,
      }));
      const count = stages.length;
      // Of a pipeline a step is a turn of every sequence: as many micro-batches as stages, each as long as the slowest takes. Of rows
      // each board has its part of every step; what the links take is the same for all.
      const slowest = (of: (cost: StepCost, range: LayerRange | undefined) => number) =>
        Math.max(
          ...costs.map(
            ({ costs: boards, range }) => Math.max(...boards.map((cost) => of(cost, range))) / boards.length,
          ),
        );
      const each = (all: number) => Math.ceil(all / count);
      const cycles = (columns: number, logits?: number) =>
        slowest((cost, range) => cost.cycles(columns, logits, range));
      return {
        stepMs: (columns, logits) =>
          count *
          slowest((cost, range) =>
            cost.ms(each(columns), logits === undefined ? logits : each(logits), range),
          ),
        promptColumns: count * columnsThatPay(DEFAULT_MAX_COLUMNS, PAGE_TOKENS, cycles),
      };
    } catch (err) {
      // Boards load more than can be priced: every column then counts the same.
      log.warn({ err, model: digest }, 'what steps of a model take is not known');
      return { stepMs: (columns) => columns, promptColumns: DEFAULT_MAX_COLUMNS };
    }
  }
}

function keyOf(model: string, stages: readonly PricedStage[]): string {
  const kindOf = ({ name, timing, unpack, clockHz }: BoardDescription) =>
    [name, timing, unpack, clockHz].join();
  const parts = stages.map(({ boards, range }) => [...boards.map(kindOf), range?.from, range?.to].join());
  return [model, ...parts].join('/');
}
