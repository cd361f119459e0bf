export { refusals } from './admission.js';
export { ClientAccounts } from './client-accounts.js';
export { EndRate } from './end-rate.js';
export { EngineMetrics, type Histogram } from './metrics.js';
export { Pace } from './pace.js';
export { predictEnd } from './predict.js';
export { schedule } from './schedule.js';
export {
  type ClientAccount,
  type ClientPath,
  DEFAULT_LIMITS,
  DEFAULT_PRIORITY,
  MAX_PRIORITY,
  type Plan,
  type Refusal,
  type SchedulingLimits,
  type SequenceView,
  type ServiceClass,
  type Share,
  type Snapshot,
  type Turn,
} from './snapshot.js';
export { columnsThatPay } from './step-size.js';
