import { z } from 'zod';

const index = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);
const tokens = z.array(index).max(2 ** 22);

/** A batch as it comes over a link: `StageBatch` of llm/. */
export const BATCH = z.strictObject({
  number: index,
  changes: z
    .array(
      z.discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('adopt'), cache: index, tokens }),
        z.strictObject({ kind: z.literal('reserve'), cache: index, length: index, reached: index }),
        z.strictObject({ kind: z.literal('truncate'), cache: index, length: index }),
        z.strictObject({ kind: z.literal('settle'), cache: index, certain: index }),
        z.strictObject({ kind: z.literal('fork'), cache: index, into: index }),
        z.strictObject({ kind: z.literal('release'), cache: index }),
        z.strictObject({ kind: z.literal('pin'), pin: index, tokens }),
        z.strictObject({ kind: z.literal('unpin'), pin: index }),
        z.strictObject({ kind: z.literal('clear') }),
      ]),
    )
    .max(2 ** 16),
  columns: z
    .array(z.strictObject({ cache: index, token: index, position: index, wantsLogits: z.boolean() }))
    .max(2 ** 12),
  freeFrames: index,
});
