import { z } from 'zod';
import type { WireBoardDescription } from '../protocol/index.js';

const between = (least: number, most: number) => z.int().min(least).max(most);

/**
 * What a gateway counts with when it predicts a board's steps and memory, within the limits of a description's file: a clock of no cycles, or
 * transfers of no bytes, would have it count without an end.
 */
const countable = z
  .object({
    revision: z.string(),
    timing: z.string(),
    clockHz: between(1_000_000, 1_000_000_000),
    weightTypes: z.array(between(2, 6)).min(1).max(5),
    dma: z.object({ lanes: z.number(), lengthBits: between(14, 26) }),
    dmaMemory: z.array(z.object({ size: between(0, 2 ** 32) })).max(64),
    memoryBytes: between(1, 2 ** 44),
    capacity: z.object({ weightBlocks: between(1, 1_024), inputBlocks: between(1, 512) }),
  })
  .refine(
    ({ revision, timing, dma }) =>
      revision === 'v1' ? timing === 'systemc' && dma.lanes === 1 : dma.lanes === 4,
    'there is no such revision',
  );

/** Why nothing can be predicted of a board of this description; undefined where it can. */
export function whyNotCountable(description: WireBoardDescription): string | undefined {
  const issue = countable.safeParse(description).error?.issues[0];
  return issue && `${issue.path.join('.')}: ${issue.message}`;
}
