import type { KvType } from '../../protocol/index.js';

/** How an agent keeps keys and values of models, where who loads one does not say. */
export interface KvSettings {
  readonly type?: KvType | undefined;
  /** Bound of each model's keys and values. */
  readonly bytes?: number | undefined;
  /** Where keys and values go of sequences that make room for others; they are computed again unless given. */
  readonly spill?: { readonly folder: string; readonly maxBytes: number } | undefined;
}
