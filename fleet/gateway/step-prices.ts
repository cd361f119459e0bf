import type { ModelStore } from '../../agent/index.js';
import type { BoardDescription } from '../../board/index.js';
import type { Log } from '../../listen/index.js';
import { columnsThatPay, DEFAULT_MAX_COLUMNS, type LayerRange, PAGE_TOKENS } from '../../llm/index.js';
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

/** Some layers of a model, on a board of this description. */
interface PricedStage {
  readonly board: BoardDescription;
  readonly range?: LayerRange | undefined;
}

/** All of a model, on one board or several. */
interface PricedParts {
  readonly stages: readonly PricedStage[];
  readonly areRows: boolean;
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
    const parts = this.#partsOf(model, board);
    const key = keyOf(model, parts);
    const known = this.#prices.get(key);
    if (known !== undefined) return known;
    this.#forgetGone();
    const price = this.#price(model, parts);
    this.#prices.set(key, price);
    return price;
  }

  /** Of models that no board has any more, and of plans that are over. */
  #forgetGone(): void {
    const keysOf = (board: FleetBoard) =>
      board.record.models.map(({ digest }) => keyOf(digest, this.#partsOf(digest, board)));
    const there = new Set(this.#options.boards.all.flatMap(keysOf));
    for (const key of this.#prices.keys()) if (!there.has(key)) this.#prices.delete(key);
  }

  #partsOf(model: string, { record }: FleetBoard): PricedParts {
    const { boards, planOf } = this.#options;
    const number = modelOf(record, model)?.stage?.plan;
    const plan = number === undefined ? undefined : planOf(number);
    const whole = { stages: [{ board: record.info.description }], areRows: false };
    if (plan === undefined) return whole;
    const stages = plan.stages.flatMap(({ board, from, to }) => {
      const there = boards.get(board);
      return there === undefined ? [] : [{ board: there.record.info.description, range: { from, to } }];
    });
    return stages.length === 0 ? whole : { stages, areRows: plan.rows !== undefined };
  }

  #price(digest: string, { stages, areRows }: PricedParts): StepPrice {
    const { store, log } = this.#options;
    try {
      const { step } = readFleetModel(store.path(digest));
      const costs = stages.map(({ board, range }) => ({ cost: stepCost(step, board), range }));
      const count = stages.length;
      // Of a pipeline a step is a turn of every sequence: as many micro-batches as stages, each as long as the slowest takes.
      const each = (all: number) => Math.ceil(all / count);
      const slowest = (columns: number, logits?: number) =>
        Math.max(...costs.map(({ cost, range }) => cost.ms(columns, logits, range)));
      const cycles = (columns: number, logits?: number) =>
        Math.max(...costs.map(({ cost, range }) => cost.cycles(columns, logits, range)));
      // Of rows each has its part, of every step; what the links take is the same for all.
      if (areRows)
        return {
          stepMs: (columns, logits) => slowest(columns, logits) / count,
          promptColumns: columnsThatPay(DEFAULT_MAX_COLUMNS, PAGE_TOKENS, cycles),
        };
      return {
        stepMs: (columns, logits) =>
          count * slowest(each(columns), logits === undefined ? logits : each(logits)),
        promptColumns: count * columnsThatPay(DEFAULT_MAX_COLUMNS, PAGE_TOKENS, cycles),
      };
    } catch (err) {
      // Boards load more than can be priced: every column then counts the same.
      log.warn({ err, model: digest }, 'what steps of a model take is not known');
      return { stepMs: (columns) => columns, promptColumns: DEFAULT_MAX_COLUMNS };
    }
  }
}

function keyOf(model: string, { stages, areRows }: PricedParts): string {
  const boards = stages.map(({ board: { name, timing, unpack, clockHz }, range }) =>
    [name, timing, unpack, clockHz, range?.from, range?.to].join(),
  );
  return [model, areRows ? 'rows' : 'layers', ...boards].join('/');
}
