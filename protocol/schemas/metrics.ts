import { z } from 'zod';
import { count, digest, float } from './common.js';

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

/** A generation on the board, as it is at this moment. */
const sequenceStatus = z.object({
  class: z.enum(['interactive', 'batch']),
  priority: count,
  /** One that waits has not begun, or has given up its memory. */
  state: z.enum(['waiting', 'running']),
  /** Whether its client gave credit for a token: nothing is computed for one that does not read. */
  hasCredit: z.boolean(),
  /** Since the request. */
  ageMs: float,
  promptTokens: count,
  generated: count,
  /** Tokens to compute before the next one can be sampled, from 1. */
  left: count,
  /** Pages of keys and values that would be free without it. */
  pages: count,
});

/** Keys and values of a model's sequences; docs/kv-cache.md says what each means. */
const kvStatus = z.object({
  type: z.string(),
  pages: count,
  used: count,
  cached: count,
  pinned: count,
  bytes: count,
  hits: count,
  evictions: count,
  preemptions: count,
  restored: count,
  spillFailures: count,
});

const modelStatus = z.object({
  model: digest,
  name: z.string(),
  sequences: z.array(sequenceStatus),
  /** From the first generation on. */
  kv: kvStatus.optional(),
});

/** Totals since the device was opened; docs/scheduling.md says what each means. */
export const metricsResult = z.object({
  classes: z.object({ interactive: classMetrics, batch: classMetrics }),
  steps: count,
  columns: count,
  /** Steps during which the device failed, and those of them that succeeded when tried again. */
  faults: count,
  recovered: count,
  /** Those that are loaded, at this moment. */
  models: z.array(modelStatus),
});
export type EngineMetricsReading = z.output<typeof metricsResult>;
