import { randomBytes } from 'node:crypto';
import {
  DEFAULT_LIMITS,
  type Engine,
  type EngineMetrics,
  type Model,
  type SpillFolder,
} from '../../llm/index.js';
import { errorToWire, type GenerateEvent } from '../../protocol/index.js';
import type { FromStage, StageSettings } from '../worker-link/stage-messages.js';
import type { OpenModel } from './open-model.js';
import { PipelineSteps } from './pipeline-steps.js';
import type { PlanEvents, PlanSteps } from './plan-steps.js';
import { RunningGenerations } from './running-generations.js';
import { TensorSteps } from './tensor-steps.js';

/** A model with its engine. */
export interface Loaded extends OpenModel {
  /** Another one each time that a model is loaded: versions of its pages begin anew. */
  readonly pages: string;
  readonly engine: Engine;
  readonly generations: RunningGenerations;
  /** Where it is the last one of several boards: what of the model is here, and what computes steps instead of the engine alone. */
  readonly settings: StageSettings | undefined;
  readonly steps: PlanSteps | undefined;
}

/** What the engines of a device have in common. */
export interface ServeOptions {
  readonly metrics: EngineMetrics;
  /** Shares of clients. */
  readonly weights: ReadonlyMap<string, number>;
  readonly spill: SpillFolder | undefined;
  /** Of a device that takes real time. */
  readonly cyclesPerMs: () => number | undefined;
  /** A model that is loaded, to draft with. @throws PynqLlmError AGENT_MODEL_NOT_LOADED, FLEET_STAGE_ONLY */
  readonly modelOf: (digest: string) => Model;
  readonly onEvent: (generation: string, event: GenerateEvent) => void;
  readonly onStage: (message: FromStage) => void;
}

/** Gives a model an engine. @param settings where other boards have layers before its own, or the other rows */
export function serveModel(
  digest: string,
  opened: OpenModel,
  settings: StageSettings | undefined,
  { metrics, weights, spill, cyclesPerMs, modelOf, onEvent, onStage }: ServeOptions,
): Loaded {
  const { lane } = opened;
  const stages = settings?.stages ?? 1;
  const isAlone = stages === 1 && lane === undefined;
  const generations = new RunningGenerations(
    opened.model,
    {
      ...(stages > 1 && { microBatches: stages, maxSequences: stages * DEFAULT_LIMITS.maxSequences }),
      metrics,
      ...(lane !== undefined && { isMirrored: true }),
      // The other boards could not follow.
      spill: isAlone ? spill : undefined,
      weights,
      cyclesPerMs: cyclesPerMs(),
    },
    modelOf,
    onEvent,
  );
  const { engine } = generations;
  const events: PlanEvents = {
    onBatch: (plan, batch) => onStage({ kind: 'stage-batch', model: digest, plan, batch }),
    onTurn: (plan, number) => onStage({ kind: 'stage-turn', model: digest, plan, number }),
    onFailed: (plan, number, cause) => {
      const error = errorToWire(cause, 'AGENT_INTERNAL');
      onStage({ kind: 'stage-failed', model: digest, plan, number, error });
    },
  };
  const steps = () =>
    lane !== undefined && stages === 1
      ? new TensorSteps(engine, lane, events)
      : new PipelineSteps(engine, stages, events, lane);
  const pages = randomBytes(8).toString('hex');
  return { ...opened, pages, engine, generations, settings, steps: isAlone ? undefined : steps() };
}
