export {
  computeCounter,
  computeCycles,
  inputCycles,
  loadCycles,
  type MatMulCost,
  matMulComputeCounter,
  matMulCycles,
  slowestCore,
  type TimedCore,
  tileCycles,
  unpackWait,
} from './cycles.js';
