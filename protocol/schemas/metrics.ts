import { z } from 'zod';
import { type BoardHealth, boardHealth } from './board.js';
import { count, digest, float } from './common.js';
import { traffic, type WireTraffic } from './counters.js';

/** How often values fell into which range. */
export interface HistogramReading {
  /** Upper bounds of the ranges, ascending. */
  readonly bounds: number[];
  /** Values up to each bound and above the one before; one more than `bounds`, for what is above all. */
  readonly counts: number[];
  /** Sum of all values. */
  readonly sum: number;
}
const histogram: z.ZodType<HistogramReading> = z.object({
  bounds: z.array(float),
  counts: z.array(count),
  sum: float,
});

/** How the requests of a class were served since the device was opened. */
export interface ClassMetricsReading {
  /** Milliseconds from a request to its first column. */
  readonly queueMs: HistogramReading;
  /** Milliseconds from a request to its first token. */
  readonly firstTokenMs: HistogramReading;
  /** Milliseconds from each token to the next. */
  readonly betweenTokensMs: HistogramReading;
  /** The class's part of the columns that each step could have had, 0 to 1. */
  readonly occupancy: HistogramReading;
  /** Requests that ended by themselves. */
  readonly finished: number;
  /** Requests that ended by an error. */
  readonly failed: number;
  /** Requests that were given up. */
  readonly cancelled: number;
  /** Requests that were refused before they began, because too many waited. */
  readonly refused: number;
  /** Times that a sequence gave up its memory and computed it again. */
  readonly preempted: number;
}
const classMetrics: z.ZodType<ClassMetricsReading> = z.object({
  queueMs: histogram,
  firstTokenMs: histogram,
  betweenTokensMs: histogram,
  occupancy: histogram,
  finished: count,
  failed: count,
  cancelled: count,
  refused: count,
  preempted: count,
});

/** A request on the board, as it is at this moment. */
export interface SequenceStatus {
  /** `interactive` where somebody watches, `batch` where it only has to be done. */
  readonly class: 'interactive' | 'batch';
  /** Within the class, 0 to 9; 9 goes first. */
  readonly priority: number;
  /** One that waits has not begun, or has given up its memory. */
  readonly state: 'waiting' | 'running';
  /** Whether its client gave credit for a token: nothing is computed for one that does not read. */
  readonly hasCredit: boolean;
  /** Milliseconds since the request. */
  readonly ageMs: number;
  /** Tokens of its prompt. */
  readonly promptTokens: number;
  /** Tokens generated so far. */
  readonly generated: number;
  /** Tokens to compute before the next one can be sampled, from 1. */
  readonly left: number;
  /** Pages of keys and values that would be free without it. */
  readonly pages: number;
  /** Id of the trace that the request is part of, where it is part of one. */
  readonly trace?: string | undefined;
}
const sequenceStatus: z.ZodType<SequenceStatus> = z.object({
  class: z.enum(['interactive', 'batch']),
  priority: count,
  state: z.enum(['waiting', 'running']),
  hasCredit: z.boolean(),
  ageMs: float,
  promptTokens: count,
  generated: count,
  left: count,
  pages: count,
  trace: z.string().optional(),
});

/** Keys and values of a model's sequences, in pages of 16 tokens; docs/kv-cache.md says more of each. */
export interface KvStatus {
  /** How they are kept: `f16` or `int8`. */
  readonly type: string;
  /** Complete pages that there is room for. */
  readonly pages: number;
  /** Room taken by sequences and pins, in complete pages. */
  readonly used: number;
  /** Pages that nobody holds and that are kept for prompts that begin with their tokens. */
  readonly cached: number;
  /** Pages that pins hold. */
  readonly pinned: number;
  /** Bytes that all keys and values may take. */
  readonly bytes: number;
  /** Pages that were adopted instead of computed, so far. */
  readonly hits: number;
  /** Cached pages that were thrown out for others, so far. */
  readonly evictions: number;
  /** Times that a sequence made room for others. */
  readonly preemptions: number;
  /** Preempted sequences whose pages were read back from a file. */
  readonly restored: number;
  /** Preempted sequences whose file was lost, and which were computed again. */
  readonly spillFailures: number;
}
const kvStatus: z.ZodType<KvStatus> = z.object({
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

/** A loaded model, as it is at this moment. */
export interface ModelStatus {
  /** Its digest. */
  readonly model: string;
  /** What the model calls itself. */
  readonly name: string;
  /** Requests that have not ended, in the order of arrival. */
  readonly sequences: SequenceStatus[];
  /** From the first generation on. */
  readonly kv?: KvStatus | undefined;
}
const modelStatus: z.ZodType<ModelStatus> = z.object({
  model: digest,
  name: z.string(),
  sequences: z.array(sequenceStatus),
  kv: kvStatus.optional(),
});

/** Totals of the engines since the device was opened; docs/scheduling.md says more of each. */
export interface EngineMetricsReading {
  /** By class of service. */
  readonly classes: {
    /** Requests that somebody watches. */
    readonly interactive: ClassMetricsReading;
    /** Requests that only have to be done. */
    readonly batch: ClassMetricsReading;
  };
  /** Steps that were computed. */
  readonly steps: number;
  /** Columns of all of them. */
  readonly columns: number;
  /** Steps during which the device failed. */
  readonly faults: number;
  /** Steps of these that succeeded when tried again. */
  readonly recovered: number;
  /** Models that are loaded, at this moment. */
  readonly models: ModelStatus[];
  /** Of a fleet, each board by itself, by name (capability `board-metrics`); the totals are theirs together. */
  readonly boards?: BoardReading[] | undefined;
}
const engineMetrics = {
  classes: z.object({ interactive: classMetrics, batch: classMetrics }),
  steps: count,
  columns: count,
  faults: count,
  recovered: count,
  models: z.array(modelStatus),
};

/** A board of a fleet, as it says itself at this moment; only its name and clock where it did not answer in time. */
export interface BoardReading {
  /** Its name in the fleet. */
  readonly name: string;
  /** Clock of its core in Hz. */
  readonly clockHz: number;
  /** Milliseconds that a question takes to the board and its answer back, over the bus. */
  readonly roundTripMs?: number | undefined;
  /** How it and its agent are. */
  readonly health?: BoardHealth | undefined;
  /** What its engines count; absent while its device is not open. */
  readonly engine?: Omit<EngineMetricsReading, 'boards'> | undefined;
  /** What crossed its Board seam since its device was opened; absent while that is not open. */
  readonly traffic?: WireTraffic | undefined;
}
/** What a board says of itself over the bus. */
export const boardFigures = {
  health: boardHealth.optional(),
  engine: z.object(engineMetrics).optional(),
  traffic: traffic.optional(),
};
const boardReading: z.ZodType<BoardReading> = z.object({
  name: z.string(),
  clockHz: count,
  roundTripMs: float.optional(),
  ...boardFigures,
});

export const metricsResult: z.ZodType<EngineMetricsReading> = z.object({
  ...engineMetrics,
  boards: z.array(boardReading).optional(),
});
