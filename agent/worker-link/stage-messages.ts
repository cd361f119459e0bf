import type { WorkingPlan } from '../../driver/index.js';
import type { WireError } from '../../errors/index.js';
import type { PoolShape, StageBatch, TensorCut } from '../../llm/index.js';

/** Which rows of every matrix a board is to have, and where it meets the boards that have the others. */
export interface RowSettings {
  /** A lane is of one plan: for another one the model is loaded anew. */
  readonly plan: number;
  readonly cut: TensorCut;
  /** This board among those of the cut: the first one has hidden states of other stages, and of the last stage the engine. */
  readonly member: number;
  /** Of a LaneMemory. */
  readonly lane: SharedArrayBuffer;
  /** Milliseconds that results of the others may take. */
  readonly deadlineMs: number;
}

/** Which layers of a model a board is to have, as one of several boards. */
export interface StageSettings {
  /** Layers from..to-1. */
  readonly from: number;
  readonly to: number;
  /** Stages that the model is cut into: as many micro-batches are on their way at a time. */
  readonly stages: number;
  /** The pages of keys and values that all stages have in common, and bytes that they may take here. */
  readonly kvPool: PoolShape;
  readonly kvBytes: number;
  /** The driver's buffers, which are to be no larger than these layers need. */
  readonly working: WorkingPlan;
  /** Where the stage is on several boards, each with some rows of every matrix. */
  readonly rows?: RowSettings | undefined;
}

/** What it is about: a model that is loaded as a stage, and the number of the plan that it is part of. */
interface InPlan {
  /** Digest of the model. */
  readonly model: string;
  readonly plan: number;
}

/** To the device's thread. */
export type ToStage =
  /** A plan begins: nothing is cached, batches are counted from 0. */
  | (InPlan & { readonly kind: 'stage-begin' })
  /** The plan is over: of the last stage what runs ends with the error. */
  | (InPlan & { readonly kind: 'stage-end'; readonly error: WireError })
  /** For any stage but the last; hidden states, columns * embedding values, for any but the first. */
  | (InPlan & {
      readonly kind: 'stage-run';
      readonly batch: StageBatch;
      readonly hidden: Float32Array | undefined;
    })
  /** For the last stage: what the others have computed of one of its batches. */
  | (InPlan & { readonly kind: 'stage-hidden'; readonly number: number; readonly hidden: Float32Array });

/** From the device's thread. */
export type FromStage =
  /** The last stage has a batch for the first one. */
  | (InPlan & { readonly kind: 'stage-batch'; readonly batch: StageBatch })
  /** Of a stage on several boards, the first one: it comes to a batch now, and waits for the others, which are to be told of it. */
  | (InPlan & { readonly kind: 'stage-turn'; readonly number: number })
  /** Another stage has computed its layers. */
  | (InPlan & { readonly kind: 'stage-ran'; readonly number: number; readonly hidden: Float32Array })
  /** It could not, nor when it tried once more. */
  | (InPlan & { readonly kind: 'stage-failed'; readonly number: number; readonly error: WireError });
