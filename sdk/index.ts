export type { BoardPlan } from '../agent/plan-on-board.js';
export type { ErrorCodeName, ErrorContext, ErrorDetail, WireError } from '../errors/index.js';
export { isPynqLlmError, PynqLlmError } from '../errors/index.js';
export type { DesignSource } from '../firmware-bridge/index.js';
export type {
  AddressRange,
  BoardHealth,
  BoardInfo,
  BoardReading,
  ChatMessage,
  ClassMetricsReading,
  Conversation,
  CoreTypes,
  CounterReading,
  CounterValue,
  DeviceCheckResult,
  DoneEvent,
  EngineMetricsReading,
  FleetAdvice,
  FleetBoardReport,
  FleetBoardStatus,
  FleetDifference,
  FleetPlanStatus,
  FleetStatus,
  FleetVerification,
  GenerationCost,
  GenerationTiming,
  HistogramReading,
  KvStatus,
  KvType,
  MemoryBudget,
  ModelFacts,
  ModelStatus,
  OnProgress,
  Placement,
  PlacementTotals,
  PlanReport,
  ProgressUnit,
  PromptProgress,
  ProtocolVersion,
  RegisterAccess,
  RegisterFieldInfo,
  RegisterInfo,
  RegisterReference,
  RegisterWrite,
  Role,
  SamplingOptions,
  ScoreResult,
  SequenceStatus,
  ServiceOptions,
  StepEvent,
  StoredCheck,
  StoredModel,
  TensorShape,
  TokenEvent,
  ToolCall,
  TraceReplay,
  WeightOrigins,
  WireBeam,
  WireBoardDescription,
  WirePlacementReport as PlacementReport,
  WireResponseFormat,
  WireTraffic,
} from '../protocol/index.js';
export type { BoardClient, BufferOptions, BuffersClient, FleetDrainOptions } from './board-client.js';
export { type ConnectOptions, connect } from './connect.js';
export type { CallOptions, ConnectionEvent } from './connection.js';
export type { CountersClient, SubscribeOptions } from './counters-client.js';
export {
  type BoardAccess,
  Deployer,
  type DeployFleet,
  type DeployOptions,
  type DeployResult,
  type DeployStep,
  type InstalledRelease,
  type NodeArchive,
  type PreflightCheck,
} from './deploy/index.js';
export type {
  CoreWeights,
  CoreWeightType,
  DeviceClient,
  MatMulResult,
  SelfTestOptions,
  SelfTestSummary,
  SoftMaxSummary,
} from './device-client.js';
export type { CheckGroup, CheckStatus } from './doctor/check.js';
export { type CheckReport, examine } from './doctor/doctor.js';
export type { KnownFleet } from './doctor/see-broker.js';
export type { Examination, Laptop } from './doctor/session.js';
export type { Generation, GenerationOptions, Prompt, ResponseFormat, Token } from './generation.js';
export { checkModel, inspectModel, type ModelCheck, type ModelFile, measureLosses } from './inspect-model.js';
export type {
  GenerateOptions,
  LoadOptions,
  LoadSettings,
  Model,
  Perplexity,
  PerplexityOptions,
  ScoreOptions,
  TokenizeOptions,
} from './model.js';
export type { ModelsClient } from './models-client.js';
export type { Pin, PinOptions } from './pin.js';
export { planOnBoard } from './plan-on-board.js';
export {
  type QuantizeCandidate,
  type QuantizeModelOptions,
  type QuantizeResult,
  quantizeModel,
} from './quantize-model.js';
export { dequantizeWeights, quantizeWeights } from './quantize-weights.js';
export type { RegistersClient, RegisterValue } from './registers-client.js';
export type { RemoteBuffer } from './remote-buffer.js';
export { AgentService, type LogOptions } from './service/agent-service.js';
export { type AgentAnswer, type AgentStatus, agentStatus } from './service/agent-status.js';
export { formatRestarts, killedForMemory, type UnitState } from './service/unit-state.js';
export type { ExecOptions, ExecResult, RemoteHost, UploadSource } from './ssh/connection.js';
export {
  formatTarget,
  openSsh,
  parseSshTarget,
  type SshConnection,
  type SshOptions,
  type SshPrompts,
  type SshTarget,
} from './ssh/index.js';
export type { HostKeyQuestion } from './ssh/prompts.js';
export type { Secrets } from './ssh/secrets.js';
export type { TraceClient } from './trace-client.js';
export type { SshLoginOptions } from './transports/ssh.js';
export type { UploadOptions, UploadPhase } from './upload.js';
