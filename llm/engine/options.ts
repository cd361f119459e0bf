import { PynqLlmError } from '../../errors/index.js';
import type { SpillFolder } from '../kv/spill-folder.js';
import type { Model } from '../model/model.js';
import type { EngineMetrics, SchedulingLimits } from '../scheduling/index.js';

export interface EngineOptions extends Partial<SchedulingLimits> {
  /** Parts of clients by any of their names, relative to those whom they divide something with; 1 unless given. */
  readonly weights?: ReadonlyMap<string, number> | undefined;
  /** Where times and counts are added up. */
  readonly metrics?: EngineMetrics | undefined;
  /** Where keys and values go of sequences that make room for others; computed again unless given. */
  readonly spill?: SpillFolder | undefined;
  /** Steps that are to be under way at a time, as many as there are stages: sequences are divided among them; 1 unless given. */
  readonly microBatches?: number | undefined;
  /**
   * Whether others compute each step too, on caches of their own that are to be the same: where layers are elsewhere they do, and
   * elsewhere not unless told.
   */
  readonly isMirrored?: boolean | undefined;
  /** Core cycles that the device takes in a millisecond; undefined where it does not keep to its clock. */
  readonly cyclesPerMs?: number | undefined;
  /** Milliseconds, for the timings. */
  readonly now?: () => number;
}

/** @throws PynqLlmError LLM_STAGE_RANGE, LLM_STAGE_UNSUPPORTED */
export function checkStage(
  model: Model,
  isMirrored: boolean,
  { spill, microBatches = 1 }: EngineOptions,
): void {
  const { isLast, range, config } = model;
  if (!isLast)
    throw new PynqLlmError(
      'LLM_STAGE_RANGE',
      `An engine needs the last layers; here are the layers ${range.from} to ${range.to} of ${config.layers}.`,
      { context: { ...range, layers: config.layers } },
    );
  const problem =
    isMirrored && spill !== undefined
      ? 'keys and values that make room for others are computed again where several stages have them: --kv-spill cannot be used'
      : !Number.isInteger(microBatches) || microBatches < 1
        ? `${microBatches} steps were to be under way at a time; it has to be a whole number from 1`
        : undefined;
  if (problem !== undefined) throw new PynqLlmError('LLM_STAGE_UNSUPPORTED', `${problem}.`);
}
