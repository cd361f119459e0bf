/**
 * What happened to caches of the stage that schedules, by their numbers; a stage that does the same on caches of its own has the
 * same pages. A cache begins with the first change, or column, that has its number. Plain data.
 */
export type CacheChange =
  /** It shares the pages that the pool has of these further tokens: whole pages, or none. */
  | { readonly kind: 'adopt'; readonly cache: number; readonly tokens: readonly number[] }
  /** It makes room up to `length` tokens; it has room for `reached`, which may be none beyond those that it holds. */
  | { readonly kind: 'reserve'; readonly cache: number; readonly length: number; readonly reached: number }
  | { readonly kind: 'truncate'; readonly cache: number; readonly length: number }
  /** Its first `certain` tokens are. */
  | { readonly kind: 'settle'; readonly cache: number; readonly certain: number }
  | { readonly kind: 'fork'; readonly cache: number; readonly into: number }
  /** It forgets everything; its number may come again. */
  | { readonly kind: 'release'; readonly cache: number }
  /** The pool keeps pages of these tokens until the pin is released. */
  | { readonly kind: 'pin'; readonly pin: number; readonly tokens: readonly number[] }
  | { readonly kind: 'unpin'; readonly pin: number }
  /** The pool forgets what nobody holds. */
  | { readonly kind: 'clear' };

/** A token of a micro-batch on its way through the stages. */
export interface BatchColumn {
  readonly cache: number;
  readonly token: number;
  readonly position: number;
  readonly wantsLogits: boolean;
}

/** What every stage of a pipeline computes together, in the order of the numbers. Plain data. */
export interface StageBatch {
  /** From 0 in a plan. */
  readonly number: number;
  /** What happened to caches since the batch before, in order. */
  readonly changes: readonly CacheChange[];
  readonly columns: readonly BatchColumn[];
  /** Frames of keys and values that are free then, the places of the columns made: every stage compares its own. */
  readonly freeFrames: number;
}
