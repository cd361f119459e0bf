import { z } from 'zod';
import { MAX_HELD_PAGES } from '../limits.js';
import { count, digest, list } from './common.js';

/** Of one load of a model: versions of another one say nothing of it. */
const pagesIndex = z.string().regex(/^[0-9a-f]{16}$/, 'must be 16 lower-case hexadecimal digits');
const hashes = list(z.int32(), { min: 0, max: MAX_HELD_PAGES });

export const pagesParams = z.strictObject({
  model: digest,
  /** What was told before: only changes are told then, where they are known. */
  since: z.strictObject({ index: pagesIndex, version: count }).optional(),
});

/** The complete pages of keys and values that a board keeps of a model. */
export const pagesResult = z.object({
  index: pagesIndex,
  version: count,
  /** Whether `added` is all that is there. */
  isWhole: z.boolean(),
  /** Hashes: of a page's tokens and all tokens before them. */
  added: hashes,
  removed: hashes,
});
