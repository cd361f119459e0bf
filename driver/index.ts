export { Accelerator } from './accelerator.js';
export type { MatMulProgram } from './matmul-program.js';
export type { KeepWeights, ModelWeights } from './packed/model-weights.js';
export type { WeightOrigins } from './packed/packed-tensor.js';
export {
  emptyMemory,
  type FreeMemory,
  type PlacedWeights,
  type Placement,
  type PlacementReport,
  placeWeights,
  planPlacement,
  refusal,
  type TensorPlacement,
} from './placement.js';
export { filesOf, listChecks, selfTestCheck } from './self-test/checks.js';
export { runCheck } from './self-test/run-check.js';
export { rowsPerTile } from './tile.js';
export type { TensorShape } from './tile-plan.js';
export { type TokenCycles, tokenCycles } from './token-cycles.js';
export { recordBoard } from './trace/record.js';
export { replayTrace } from './trace/replay.js';
export { leastMemory, workingSizes } from './working-memory.js';
