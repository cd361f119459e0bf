import { z } from 'zod';
import { count, float } from './common.js';

/** Values by upper bounds of buckets; `counts` has one more than `bounds`, for what is above all. */
const histogram = z.object({ bounds: z.array(float), counts: z.array(count), sum: float });
export type HistogramReading = z.output<typeof histogram>;

const classMetrics = z.object({
  /** From the request to its first column, to its first token, and from each token to the next. */
  queueMs: histogram,
  firstTokenMs: histogram,
  betweenTokensMs: histogram,
  /** The class's part of the columns that each step could have had, 0 to 1. */
  occupancy: histogram,
  finished: count,
  failed: count,
  cancelled: count,
  /** Before they began, because too many waited. */
  refused: count,
  /** Times that a sequence gave up its memory and computed it again. */
  preempted: count,
});

/** Totals since the device was opened; docs/scheduling.md says what each means. */
export const metricsResult = z.object({
  classes: z.object({ interactive: classMetrics, batch: classMetrics }),
  steps: count,
  columns: count,
  /** Steps during which the device failed, and those of them that succeeded when tried again. */
  faults: count,
  recovered: count,
});
export type EngineMetricsReading = z.output<typeof metricsResult>;
