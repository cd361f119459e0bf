import { SERVICE_CLASSES, type ServiceClass } from './snapshot.js';

/** Upper bounds of the histograms' buckets; one more counts what is above all. */
const MILLISECONDS = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000];
const SHARES = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1];

/** How often values were within bounds, and their sum. */
export class Histogram {
  readonly bounds: readonly number[];
  /** One more than bounds. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const bucket = this.bounds.findIndex((bound) => value <= bound);
    this.counts[bucket < 0 ? this.bounds.length : bucket]++;
    this.sum += value;
  }
}

/** What one class of requests got. */
class ClassMetrics {
  /** From the request to its first column, to its first token, and from each token to the next. */
  readonly queueMs = new Histogram(MILLISECONDS);
  readonly firstTokenMs = new Histogram(MILLISECONDS);
  readonly betweenTokensMs = new Histogram(MILLISECONDS);
  /** The class's part of the columns that a step could have had, for every step. */
  readonly occupancy = new Histogram(SHARES);
  /** Requests by how they ended; `refused` before they began. */
  finished = 0;
  failed = 0;
  cancelled = 0;
  refused = 0;
  /** Times that a sequence gave up its cache. */
  preempted = 0;
}

/** Totals of the engines that share it, since the device was opened. */
export class EngineMetrics {
  readonly classes: Readonly<Record<ServiceClass, ClassMetrics>> = {
    interactive: new ClassMetrics(),
    batch: new ClassMetrics(),
  };
  steps = 0;
  /** Columns computed. */
  columns = 0;
  /** Steps during which the device failed, and those of them that succeeded when they were tried again. */
  faults = 0;
  recovered = 0;

  /** @param used columns of each class in the step @param most columns that the step could have had */
  step(used: Readonly<Record<ServiceClass, number>>, most: number): void {
    this.steps++;
    for (const served of SERVICE_CLASSES) {
      this.columns += used[served];
      this.classes[served].occupancy.observe(used[served] / most);
    }
  }
}
