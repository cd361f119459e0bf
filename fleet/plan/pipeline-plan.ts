import type { MemoryRequest, StageMemory } from '../../llm/index.js';
import type { RunningCosts } from '../advice/running-costs.js';

export interface PlanOptions {
  /** Columns of a step, 8 unless given, and how many of them want logits, all unless given: what is balanced. */
  readonly columns?: number | undefined;
  readonly logits?: number | undefined;
  readonly request?: MemoryRequest | undefined;
}

/** Layers on a board. Plain data. */
export interface StagePlan {
  readonly board: string;
  /** The first of the boards that were given that is of this one's kind. */
  readonly kind: number;
  /** Layers from..to-1. */
  readonly from: number;
  readonly to: number;
  /** Whether the output matrix, and so the engine, is here. */
  readonly hasOutput: boolean;
  /** Of a step, and what they take. */
  readonly cycles: number;
  readonly ms: number;
  readonly memory: StageMemory;
}

/** A model cut by layers over boards, everything resident. Plain data. */
export interface PipelinePlan {
  readonly model: string;
  readonly columns: number;
  readonly logits: number;
  readonly stages: readonly StagePlan[];
  /** The slowest stage's time: a step ends as often, with as many micro-batches as stages. */
  readonly stepMs: number;
  /** A step on the fastest of the boards, were all of the model resident there, and how many times faster steps follow each other. */
  readonly aloneMs: number;
  readonly gain: number;
  /** Of a token, where the boards' descriptions say what they draw and cost. */
  readonly running: RunningCosts;
  /** Tokens of keys and values that every stage has room for. */
  readonly kvTokens: number;
}
