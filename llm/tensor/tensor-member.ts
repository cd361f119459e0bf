import { isPynqLlmError } from '../../errors/index.js';
import type { Engine } from '../engine/engine.js';
import type { Column } from '../model/column.js';
import type { Model } from '../model/model.js';
import { CacheMirror, type StageBatch } from '../stages/index.js';
import type { Gather } from './gather.js';

/** A board that computes its part of every matrix of each step of a model, or of some of its layers, for an engine on another board. */
export class TensorMember {
  readonly #model: Model;
  readonly #gather: Gather;
  readonly #mirror: CacheMirror;
  /** Says that a column wants logits, which come together on the first board alone. */
  readonly #logits = new Float32Array(0);

  /** @param model loaded with a part whose results go through `gather` */
  constructor(model: Model, gather: Gather) {
    this.#model = model;
    this.#gather = gather;
    this.#mirror = new CacheMirror(model);
  }

  /**
   * Computes this board's part of a batch, together with all others. After an error the plan is over: the others are told.
   * @param hidden what the layers before left, embedding values a column; nothing where the first layer is here
   * @returns what these layers leave, where others come after them and this is the first member
   * @throws PynqLlmError FLEET_TENSOR_*, LLM_STAGE_BATCH, LLM_STAGE_DIVERGED, LLM_MODEL_CLOSED, LLM_THREAD_LOST, GGUF_READ_FAILED
   */
  run(batch: StageBatch, hidden?: Float32Array): Float32Array | undefined {
    try {
      this.#gather.begin(batch.number);
      const { isLast } = this.#model;
      const columns = this.#mirror
        .follow(batch)
        .map(
          (column, i): Column =>
            isLast && batch.columns[i].wantsLogits ? { ...column, logits: this.#logits } : column,
        );
      const left = this.#model.compute(columns, hidden);
      return this.#gather.member === 0 ? left : undefined;
    } catch (error) {
      this.#gather.end();
      throw error;
    }
  }
}

/**
 * A step of the first board's engine: the others are told what to compute, and do it together with it. Where that fails the plan is
 * over, and all that the engine has ends with the error, so that it can go on elsewhere.
 * @param engine with `isMirrored`
 * @param tell sends a batch to every other board: in order, and none is lost; where it throws the plan is over, too
 * @returns whether there was anything to do
 */
export function stepTogether(engine: Engine, gather: Gather, tell: (batch: StageBatch) => void): boolean {
  const batch = engine.begin();
  if (batch === undefined) return false;
  try {
    tell(batch);
  } catch (error) {
    // Some may know of it, and wait for this board.
    gather.end();
    if (!isPynqLlmError(error)) throw error;
    engine.abort(error);
    return true;
  }
  gather.begin(batch.number);
  engine.complete(batch.number);
  const { ended } = gather;
  if (ended !== undefined) engine.abort(ended);
  return true;
}
