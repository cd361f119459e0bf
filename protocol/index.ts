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
export { CHUNK_BYTES, chunkCount, DIGEST_BYTES, modelDigest, sha256 } from './model-digest.js';
export { schemaText } from './schema-text.js';
export type { BoardHealth, BoardInfo, HelloResult } from './schemas/board.js';
export { list, type OnProgress, type ProgressUnit, ROLES, type Role, tokenList } from './schemas/common.js';
export type { CounterReading, CounterValue, StepEvent } from './schemas/counters.js';
export type { DeviceCheckResult } from './schemas/device.js';
export type {
  DoneEvent,
  GenerateEvent,
  GenerationCost,
  GenerationTiming,
  ScoreResult,
  TokenEvent,
  WirePrompt,
} from './schemas/generate.js';
export type { EngineMetricsReading, HistogramReading } from './schemas/metrics.js';
export type {
  ChatMessage,
  KvType,
  ModelFacts,
  StoredModel,
} from './schemas/models.js';
export type { TensorShape, WirePlacementReport } from './schemas/placement.js';
export type { RegisterInfo, RegisterReference, RegisterWrite } from './schemas/registers.js';
export type { SamplingOptions, ServiceOptions } from './schemas/sampling.js';
export type { TraceReplay } from './schemas/trace.js';
export { type Call, type FramePort, ServerSession } from './server-session.js';
export type { ServerStream } from './server-stream.js';
export { CAPABILITIES, PROTOCOL_VERSION } from './version.js';
export { errorFromWire, errorToWire } from './wire-error.js';
