export {
  computeCounter,
  computeCycles,
  inputCycles,
  loadCycles,
  type MatMulCost,
  matMulComputeCounter,
  matMulCycles,
  slowestCore,
  softMaxTileCycles,
  type TimedCore,
  tileCycles,
  unpackWait,
} from './cycles.js';
