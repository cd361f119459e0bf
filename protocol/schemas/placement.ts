import { z } from 'zod';
import { count, list } from './common.js';
import { loadSettings } from './load-settings.js';
import { type MemoryBudget, memoryBudget, modelDimensions } from './memory.js';

/** Where a weight tensor is computed: see docs/glossary.md. */
export type Placement = 'resident' | 'staged' | 'cpu';

/** Tensors with the same placement. */
export interface PlacementTotals {
  /** How many there are. */
  readonly tensors: number;
  /** Bytes that they take. */
  readonly bytes: number;
  /** Weights in them. */
  readonly weights: number;
}
const placementTotals: z.ZodType<PlacementTotals> = z.object({
  tensors: count,
  bytes: count,
  weights: count,
});

/** Where each weight tensor is computed, and why; see driver/placement.ts. */
export interface WirePlacementReport {
  /** Name of the board. */
  readonly board: string;
  /** Every weight tensor. */
  readonly tensors: {
    /** Its name in the model. */
    readonly name: string;
    /** GGML's name of its type, such as `Q3_K`. */
    readonly type: string;
    /** Rows of the matrix: values that come out. */
    readonly rows: number;
    /** Columns of the matrix: values that go in. */
    readonly columns: number;
    /** `resident`: packed tiles stay in DMA memory; `staged`: they are copied there for each use; `cpu`: not on the core. */
    readonly placement: Placement;
    /** Why it is there. */
    readonly reason: string;
    /** Bytes of packed tiles: of DMA memory where resident, of CPU memory where staged. */
    readonly bytes: number;
    /** What the core multiplies in its place, such as `2 x Q6_K`, where that is not what the file has. */
    readonly form?: string | undefined;
    /** Bytes that this form takes more than the file's. */
    readonly extraBytes?: number | undefined;
  }[];
  /** Sums by placement. */
  readonly totals: {
    /** Those that stay in DMA memory. */
    readonly resident: PlacementTotals;
    /** Those that are copied into DMA memory for each use. */
    readonly staged: PlacementTotals;
    /** Those that the CPU computes. */
    readonly cpu: PlacementTotals;
  };
  /** DMA memory in bytes. */
  readonly dmaMemory: {
    /** All that there is. */
    readonly total: number;
    /** What the driver itself takes. */
    readonly working: number;
    /** What is left. */
    readonly free: number;
  };
  /**
   * Core cycles of a token of one sequence, in the board's timing: with the synthesised core's unpacker as fast as the words
   * come, and as the HLS report has it. The truth lies between.
   */
  readonly tokenCycles: {
    /** The least. */
    readonly words: number;
    /** The most. */
    readonly hls: number;
  };
}
export const placementReport: z.ZodType<WirePlacementReport> = z.object({
  board: z.string(),
  tensors: z.array(
    z.object({
      name: z.string(),
      type: z.string(),
      rows: count,
      columns: count,
      placement: z.enum(['resident', 'staged', 'cpu']),
      reason: z.string(),
      bytes: count,
      form: z.string().optional(),
      extraBytes: z.int().optional(),
    }),
  ),
  totals: z.object({ resident: placementTotals, staged: placementTotals, cpu: placementTotals }),
  dmaMemory: z.object({ total: count, working: count, free: count }),
  tokenCycles: z.object({ words: count, hls: count }),
});

/** Shape of a weight tensor: for a plan without the weights. */
export interface TensorShape {
  /** Its name in the model. */
  readonly name: string;
  /** GGML's name of its type, such as `Q3_K`. */
  readonly type: string;
  /** Rows of the matrix, from 1. */
  readonly rows: number;
  /** Columns of the matrix, from 1. */
  readonly columns: number;
}
const tensorShape: z.ZodType<TensorShape> = z.strictObject({
  name: z.string().max(200),
  type: z.string().max(20),
  rows: z.int().min(1),
  columns: z.int().min(1),
});
export const planParams = z.strictObject({
  tensors: list(tensorShape, { min: 0, max: 16_384 }),
  /** With the model's dimensions the answer has its memory too. */
  model: modelDimensions.optional(),
  /** What would be if nothing else were loaded; what is now unless asked. */
  alone: z.boolean().optional(),
  /** Whether a model that does not fit is an error, as it is for `models.load`. */
  refuse: z.boolean().optional(),
  ...loadSettings,
});

/** Where weight tensors would go, and what their model would take. */
export interface PlanReport extends WirePlacementReport {
  /** Where the model's dimensions were given. */
  readonly memory?: MemoryBudget | undefined;
}
export const planReport: z.ZodType<PlanReport> = z.intersection(
  placementReport,
  z.object({ memory: memoryBudget.optional() }),
);
