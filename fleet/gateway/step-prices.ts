import type { ModelStore } from '../../agent/index.js';
import type { BoardDescription } from '../../board/index.js';
import type { Log } from '../../listen/index.js';
import { columnsThatPay, PAGE_TOKENS } from '../../llm/index.js';
import { stepCost } from '../exact-types.js';
import { readFleetModel } from '../plan/fleet-model.js';
import type { FleetBoard } from './boards.js';

/** As models are loaded unless it is said otherwise. */
const MOST_COLUMNS = 64;

/** What steps of a model take on a board. */
export interface StepPrice {
  readonly stepMs: (columns: number, logits?: number) => number;
  /** Columns of prompts that a step takes. */
  readonly promptColumns: number;
}

/** What steps take, in each board's own timing: from the model's header, read once. */
export class StepPrices {
  readonly #store: ModelStore;
  readonly #log: Log;
  readonly #prices = new Map<string, StepPrice>();

  constructor(store: ModelStore, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  of(model: string, { record }: FleetBoard): StepPrice {
    const { name, timing, unpack, clockHz } = record.info.description;
    const key = [model, name, timing, unpack, clockHz].join('/');
    const known = this.#prices.get(key);
    if (known !== undefined) return known;
    const price = this.#price(model, record.info.description);
    this.#prices.set(key, price);
    return price;
  }

  #price(digest: string, board: BoardDescription): StepPrice {
    try {
      const cost = stepCost(readFleetModel(this.#store.path(digest)).step, board);
      const cycles = (columns: number, logits?: number) => cost.cycles(columns, logits);
      return {
        stepMs: (columns, logits) => cost.ms(columns, logits),
        promptColumns: columnsThatPay(MOST_COLUMNS, PAGE_TOKENS, cycles),
      };
    } catch (err) {
      // Boards load more than can be priced: every column then counts the same.
      this.#log.warn({ err, model: digest }, 'what steps of a model take is not known');
      return { stepMs: (columns) => columns, promptColumns: MOST_COLUMNS };
    }
  }
}
