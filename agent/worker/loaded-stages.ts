import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { FileSource } from '../../gguf/index.js';
import type { Model, Stage, StageBatch, TensorMember } from '../../llm/index.js';
import { errorToWire, type Result } from '../../protocol/index.js';
import type { FromStage, StageSettings, ToStage } from '../worker-link/stage-messages.js';

/** What computes batches that the engine on another board begins. */
export type Follower = Pick<Stage, 'run' | 'reset'>;

const NOTHING = new Float32Array(0);

/** A board's rows of every matrix: the first member has states for the layers behind, of the others all has gone when a batch is done. */
export function followerOf(member: TensorMember): Follower {
  return {
    run: (batch: StageBatch, hidden?: Float32Array) => member.run(batch, hidden) ?? NOTHING.slice(),
    // It is loaded for one plan.
    reset: () => {},
  };
}

/** A part of a model without its engine: it computes what it is given, and generates nothing by itself. */
export interface LoadedStage {
  readonly model: Model;
  readonly source: FileSource;
  readonly stage: Follower;
  readonly settings: StageSettings;
  readonly result: Result<'models.load'>;
  /** The plan that it is part of now. */
  plan?: number | undefined;
}

type Hop = Extract<ToStage, { kind: 'stage-run' }>;

/** The parts of models on the device that have no engine, by the models' digests, and what waits for them. */
export class LoadedStages {
  readonly #loaded = new Map<string, LoadedStage>();
  readonly #waiting: Hop[] = [];
  readonly #post: (message: FromStage) => void;

  constructor(post: (message: FromStage) => void) {
    this.#post = post;
  }

  get count(): number {
    return this.#loaded.size;
  }

  get digests(): string[] {
    return [...this.#loaded.keys()];
  }

  get(digest: string): LoadedStage | undefined {
    return this.#loaded.get(digest);
  }

  add(digest: string, stage: LoadedStage): void {
    this.#loaded.set(digest, stage);
  }

  /** What waits for it is computed no more. @returns it, for who closes it */
  remove(digest: string): LoadedStage | undefined {
    const stage = this.#loaded.get(digest);
    this.#loaded.delete(digest);
    this.#drop(digest);
    return stage;
  }

  begin(digest: string, plan: number): void {
    const stage = this.#loaded.get(digest);
    if (stage === undefined) return;
    this.#drop(digest);
    stage.stage.reset();
    stage.plan = plan;
  }

  end(digest: string, plan: number): void {
    const stage = this.#loaded.get(digest);
    if (stage?.plan !== plan) return;
    this.#drop(digest);
    stage.plan = undefined;
  }

  take(hop: Hop): void {
    this.#waiting.push(hop);
  }

  get hasWork(): boolean {
    return this.#waiting.length > 0;
  }

  /** Computes the batch that waits for the longest time. */
  step(): void {
    const hop = this.#waiting.shift();
    if (hop === undefined) return;
    const { model, plan, batch, hidden } = hop;
    const { number } = batch;
    try {
      const loaded = this.#loaded.get(model);
      if (loaded?.plan !== plan)
        throw new PynqLlmError('FLEET_STAGE_LOST', `Plan ${plan} is not the one that this board is part of.`);
      // Only now: with several models here the others are to have batches in the order in which this board computes them.
      if (loaded.settings.rows?.member === 0) this.#post({ kind: 'stage-turn', model, plan, number });
      this.#post({ kind: 'stage-ran', model, plan, number, hidden: loaded.stage.run(batch, hidden) });
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      this.#post({ kind: 'stage-failed', model, plan, number, error: errorToWire(error, 'AGENT_INTERNAL') });
    }
  }

  #drop(digest: string): void {
    const kept = this.#waiting.filter(({ model }) => model !== digest);
    this.#waiting.splice(0, Number.POSITIVE_INFINITY, ...kept);
  }
}
