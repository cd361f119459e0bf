import { z } from 'zod';
import type { CacheChange, StageBatch } from '../../llm/index.js';

/** Of a batch. */
export const MOST_COLUMNS = 1_024;

const count = z
  .int()
  .min(0)
  .max(2 ** 31);
const tokens = z.array(count).max(1_048_576);

const cacheChange: z.ZodType<CacheChange> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('adopt'), cache: count, tokens }),
  z.object({ kind: z.literal('reserve'), cache: count, length: count, reached: count }),
  z.object({ kind: z.literal('truncate'), cache: count, length: count }),
  z.object({ kind: z.literal('settle'), cache: count, certain: count }),
  z.object({ kind: z.literal('fork'), cache: count, into: count }),
  z.object({ kind: z.literal('release'), cache: count }),
  z.object({ kind: z.literal('pin'), pin: count, tokens }),
  z.object({ kind: z.literal('unpin'), pin: count }),
  z.object({ kind: z.literal('clear') }),
]);

/** A micro-batch as boards send it to each other. */
export const stageBatch: z.ZodType<StageBatch> = z.object({
  number: count,
  changes: z.array(cacheChange).max(65_536),
  columns: z
    .array(z.object({ cache: count, token: count, position: count, wantsLogits: z.boolean() }))
    .min(1)
    .max(MOST_COLUMNS),
  freeFrames: count,
});
