import { z } from 'zod';

/** How keys and values of complete pages are kept: as 16-bit floats, or as 8-bit integers with a scale. */
export type KvType = 'f16' | 'int8';
export const kvType: z.ZodType<KvType> = z.enum(['f16', 'int8']);

/**
 * Which matrices go to the core: `exact`, those of types and rows that it takes as they are; `padded`, also those of rows that are no
 * whole super-blocks, in types that keep nearly all of their precision; `all`, whatever can be made a type that it takes.
 */
export type CoreTypes = 'exact' | 'padded' | 'all';
export const coreTypes: z.ZodType<CoreTypes> = z.enum(['exact', 'padded', 'all']);

/** How a model is loaded, as it is asked for; the agent's settings unless given. */
export const loadSettings = {
  /** Tokens that a sequence may have; the model's own context length unless given. */
  contextLength: z.int().min(1).max(1_048_576).optional(),
  /** How keys and values are kept, and bytes for those of all sequences. */
  kvType: kvType.optional(),
  kvBytes: z
    .int()
    .min(1)
    .max(2 ** 32)
    .optional(),
  /** Columns that go through the matrices together: less memory for activations, more steps for prompts. */
  maxColumns: z.int().min(1).max(64).optional(),
  /** Which matrices go to the core. */
  coreTypes: coreTypes.optional(),
  /** Whether weights that find no DMA memory may be read for each step; on a board no, on a mock yes, unless told. */
  staged: z.boolean().optional(),
};
