export type { InstalledRelease } from './board-state.js';
export {
  type BoardAccess,
  Deployer,
  type DeployOptions,
  type DeployResult,
  type DeployStep,
} from './deployer.js';
export type { DeployFleet } from './fleet.js';
export type { NodeArchive } from './node-archive.js';
export type { PreflightCheck } from './preflight.js';
