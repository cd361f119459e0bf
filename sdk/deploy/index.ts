export type { InstalledRelease } from './board-state.js';
export {
  type BoardAccess,
  Deployer,
  type DeployOptions,
  type DeployProgress,
  type DeployResult,
} from './deployer.js';
export { LAYOUT, type Layout } from './layout.js';
export { plain } from './plain.js';
export type { PreflightCheck } from './preflight.js';
export { systemd } from './systemd.js';
