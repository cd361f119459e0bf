export { log, Random } from '../maths/index.js';
export {
  type CoreTypesSetting,
  checkCoreTypes,
  chooseForms,
  coreForm,
  coreUse,
  reportOfFile,
  weightLoss,
} from './core-form/index.js';
export { checkPromptLength } from './engine/check-request.js';
export { Engine } from './engine/engine.js';
export type { EngineGeneration } from './engine/generation.js';
export type { ServiceOptions } from './engine/job.js';
export type { EngineOptions } from './engine/options.js';
export type { EnginePrefill, PrefillSink } from './engine/prefill.js';
export type { GenerateRequest } from './engine/request.js';
export type { Scores } from './engine/score-sequence.js';
export { PAGE_TOKENS } from './kv/layout.js';
export type { KvPin } from './kv/pool.js';
export type { PoolShape } from './kv/pool-shape.js';
export { pageHash } from './kv/prefix-index.js';
export { SpillFolder } from './kv/spill-folder.js';
export {
  assumedSystem,
  budgetMemory,
  kvShapeOfStage,
  type MemoryBudget,
  type MemoryRequest,
  type ModelShape,
  modelShape,
  requireMemory,
  type StageMemory,
  type SystemMemory,
  stageMemory,
  stageShape,
  typeNamed,
} from './memory/index.js';
export { newCost } from './model/cost.js';
export { takesQ8 } from './model/cpu-matrix.js';
export { rateOfRows } from './model/cpu-rate.js';
export type { LayerRange } from './model/layer-range.js';
export { checkContextLength, checkModel, DEFAULT_MAX_COLUMNS, loadModel } from './model/load-model.js';
export type { Model } from './model/model.js';
export { rowShares } from './model/row-share.js';
export { Sampler } from './sampling/index.js';
export {
  ClientAccounts,
  type ClientPath,
  columnsThatPay,
  DEFAULT_LIMITS,
  DEFAULT_PRIORITY,
  EndRate,
  EngineMetrics,
  type Histogram,
  type Plan,
  type SchedulingLimits,
  type SequenceView,
  type ServiceClass,
  type Share,
  type Snapshot,
  schedule,
  type Turn,
} from './scheduling/index.js';
export { draftLength } from './speculation/draft-length.js';
export {
  type CacheChange,
  Stage,
  type StageBatch,
  stagePool,
} from './stages/index.js';
export { type LayerShape, StepCost, type StepShape, stepShape } from './step-cost/index.js';
export {
  largestPart,
  type Rows,
  rowsOf,
  type TensorCut,
  type TensorShare,
  type Wire,
  wireBytes,
} from './tensor/cut.js';
export { normsHeadsTogether } from './tensor/heads-together.js';
export { Lane } from './tensor/lane.js';
export { LaneMemory } from './tensor/lane-memory.js';
export { memberKvShape, memberShape } from './tensor/member-shape.js';
export { stepTogether, TensorMember } from './tensor/tensor-member.js';
export { MOST_THREADS } from './threads/control.js';
export { CHAT_ROLES, type Conversation } from './tokenizer/chat-conversation.js';
export { type ChatFrame, ChatRenderer } from './tokenizer/chat-renderer.js';
export { ChatTemplate } from './tokenizer/chat-template.js';
export type { EncodeOptions, Tokenizer } from './tokenizer/index.js';
