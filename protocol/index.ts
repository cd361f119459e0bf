export { ClientSession } from './client-session.js';
export { type Clock, systemClock } from './clock.js';
export { decodeFrame, encodeFrame } from './codec.js';
export { Heartbeat } from './heartbeat.js';
export * from './limits.js';
export type {
  MethodName,
  Params,
  Result,
  StreamEvent,
  StreamMethodName,
} from './methods.js';
export { CHUNK_BYTES, chunkCount, DIGEST_BYTES, modelDigest } from './model-digest.js';
export { schemaText } from './schema-text.js';
export type {
  AddressRange,
  BoardHealth,
  BoardInfo,
  HelloResult,
  WireBoardDescription,
} from './schemas/board.js';
export type { ChatMessage, Conversation, ToolCall } from './schemas/chat.js';
export { list, type OnProgress, type ProgressUnit, ROLES, type Role, tokenList } from './schemas/common.js';
export type { CounterReading, CounterValue, StepEvent, WireTraffic } from './schemas/counters.js';
export { CORE_TYPE_NAMES, type DeviceCheckResult } from './schemas/device.js';
export {
  BOARD_NAME,
  type FleetAdvice,
  type FleetBoardReport,
  type FleetBoardStatus,
  type FleetDifference,
  type FleetDrain,
  type FleetPlanStatus,
  type FleetStatus,
  type FleetVerification,
  fleetBoardReport,
} from './schemas/fleet.js';
export type {
  DoneEvent,
  GenerateEvent,
  GenerationCost,
  GenerationTiming,
  PromptProgress,
  ScoreResult,
  TokenEvent,
  WireBeam,
  WirePrompt,
} from './schemas/generate.js';
export type { CoreTypes, KvType } from './schemas/load-settings.js';
export type { MemoryBudget, ModelDimensions } from './schemas/memory.js';
export type {
  BoardReading,
  ClassMetricsReading,
  EngineMetricsReading,
  HistogramReading,
  KvStatus,
  ModelStatus,
  SequenceStatus,
} from './schemas/metrics.js';
export { boardFigures } from './schemas/metrics.js';
export type { ModelFacts, StoredCheck, StoredModel, WeightOrigins } from './schemas/models.js';
export type {
  Placement,
  PlacementTotals,
  PlanReport,
  TensorShape,
  WirePlacementReport,
} from './schemas/placement.js';
export type {
  RegisterAccess,
  RegisterFieldInfo,
  RegisterInfo,
  RegisterReference,
  RegisterWrite,
} from './schemas/registers.js';
export type { SamplingOptions, ServiceOptions, WireResponseFormat } from './schemas/sampling.js';
export type { TraceReplay } from './schemas/trace.js';
export { type Call, type FramePort, ServerSession } from './server-session.js';
export type { ServerStream } from './server-stream.js';
export { sha256 } from './sha256.js';
export { newTraceContext, readTraceContext, type TraceContext, traceIdOf } from './trace-context.js';
export { formatContentRange, parseContentRange, UPLOAD_PATH, type UploadRange } from './upload-range.js';
export { checkEvent, checkParams, checkResult } from './validate.js';
export { CAPABILITIES, PROTOCOL_VERSION, type ProtocolVersion } from './version.js';
export { errorFromWire, errorToWire, wireError } from './wire-error.js';
