export type { InstalledRelease } from './board-state.js';
export {
  type BoardAccess,
  Deployer,
  type DeployOptions,
  type DeployProgress,
  type DeployResult,
} from './deployer.js';
export type { PreflightCheck } from './preflight.js';
