export { type BoardChanges, describeBoards } from './plan/boards.js';
export { type FleetModel, fleetModel, readFleetModel } from './plan/fleet-model.js';
export { DEFAULT_LINK, type Link, sendMs, transferMs } from './plan/link.js';
export { type PipelinePlan, type PlanOptions, planPipeline, type StagePlan } from './plan/pipeline.js';
export type { Rows } from './plan/row-cut.js';
export { computeTensor, planTensor, type TensorOptions, type TensorPlan } from './plan/tensor.js';
export type { TensorShare, Wire } from './plan/tensor-cut.js';
