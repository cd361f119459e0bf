import { z } from 'zod';
import { MAX_NAME_LENGTH } from '../limits.js';
import { count, float } from './common.js';

/** What a model takes on a board, line by line, and what the board has; see docs/memory.md. */
export interface MemoryBudget {
  /** Name of the board. */
  readonly board: string;
  /** What the model calls itself. */
  readonly model: string;
  /** The lines of the sum. */
  readonly lines: {
    /** `dma`: DMA memory; `system`: what Linux has beside it. */
    readonly of: 'dma' | 'system';
    /** What takes it. */
    readonly what: string;
    /** How much it takes. */
    readonly bytes: number;
  }[];
  /** Sums of DMA memory in bytes. */
  readonly dma: {
    /** The sum of its lines. */
    readonly need: number;
    /** All that the board has. */
    readonly available: number;
  };
  /** Sums of the system's memory in bytes. */
  readonly system: {
    /** The sum of its lines. */
    readonly need: number;
    /** What the agent may take. */
    readonly available: number;
    /** What says so: `MemAvailable`, or a control group. */
    readonly source: string;
  };
  /** Tokens that a sequence may have. */
  readonly contextLength: number;
  /** How keys and values are kept. */
  readonly kvType: 'f16' | 'int8';
  /** Bytes for those of all sequences. */
  readonly kvBytes: number;
  /** Tokens of a sequence that has these bytes for itself. */
  readonly kvTokens: number;
  /** Columns that go through the matrices together. */
  readonly maxColumns: number;
  /** Bytes of weights that are read for each step. */
  readonly stagedBytes: number;
  /** How long that takes from a card. */
  readonly stagedSeconds: number;
  /** All that as text: a line each, in MiB. */
  readonly table: string;
  /** Changes each of which makes the model fit, where it does not. */
  readonly fits: string[];
  /** Code of the error that loading would end with; absent where the model fits. */
  readonly refusal?: 'LLM_MEMORY_DMA' | 'LLM_MEMORY_SYSTEM' | undefined;
}

const sums = { need: count, available: count };

export const memoryBudget: z.ZodType<MemoryBudget> = z.object({
  board: z.string(),
  model: z.string(),
  lines: z.array(z.object({ of: z.enum(['dma', 'system']), what: z.string(), bytes: count })),
  dma: z.object(sums),
  system: z.object({ ...sums, source: z.string() }),
  contextLength: count,
  kvType: z.enum(['f16', 'int8']),
  kvBytes: count,
  kvTokens: count,
  maxColumns: count,
  stagedBytes: count,
  stagedSeconds: float,
  table: z.string(),
  fits: z.array(z.string()),
  refusal: z.enum(['LLM_MEMORY_DMA', 'LLM_MEMORY_SYSTEM']).optional(),
});

/** What a model's memory follows from beside the shapes of its tensors: `docs/memory.md` has where it stands in a file. */
export interface ModelDimensions {
  /** What the model calls itself. */
  readonly name: string;
  /** Layers that keep keys and values. */
  readonly layers: number;
  /** Values of a token between layers. */
  readonly embedding: number;
  /** Values inside of a feed-forward. */
  readonly feedForward: number;
  /** Feed-forwards that a router chooses from, and how many of them a token uses; 0 where there is one feed-forward. */
  readonly experts: number;
  readonly expertsUsed: number;
  /** Values of a head that RoPE turns, and those of the RoPE that layers with a window have for themselves; 0 for none. */
  readonly ropeDimensions: number;
  readonly windowRopeDimensions: number;
  /** How many of the last tokens each layer sees, 0 for all. */
  readonly layerWindows: readonly number[];
  /** Heads of attention. */
  readonly heads: number;
  /** Heads that have keys and values. */
  readonly kvHeads: number;
  /** Values of a head. */
  readonly headDim: number;
  /** Tokens in the vocabulary. */
  readonly vocabulary: number;
  /** Merges of a byte-pair vocabulary. */
  readonly merges: number;
  /** Tokens of context that the model was made for. */
  readonly trainedContext: number;
  /** Layers that convolve over the last tokens instead of attending: how many, over how many tokens, of how many values each. */
  readonly convolution?:
    | { readonly layers: number; readonly taps: number; readonly width: number }
    | undefined;
}

const dimension = z
  .int()
  .min(1)
  .max(1 << 22);
const dimensionOrNone = z
  .int()
  .min(0)
  .max(1 << 22);
export const modelDimensions: z.ZodType<ModelDimensions> = z.strictObject({
  name: z.string().max(MAX_NAME_LENGTH),
  layers: z.int().min(1).max(512),
  embedding: dimension,
  feedForward: dimension,
  experts: z.int().min(0).max(1024),
  expertsUsed: z.int().min(0).max(1024),
  ropeDimensions: dimensionOrNone,
  windowRopeDimensions: dimensionOrNone,
  layerWindows: z.array(dimensionOrNone).max(512),
  heads: dimension,
  kvHeads: dimension,
  headDim: dimension,
  vocabulary: dimension,
  merges: dimensionOrNone,
  trainedContext: dimension,
  convolution: z
    .strictObject({ layers: z.int().min(1).max(512), taps: z.int().min(2).max(4096), width: dimension })
    .optional(),
});
