export type { InProcessAgent, InProcessEvents } from './in-process.js';
export {
  type AgentFlags,
  type DaemonFlags,
  runAgent,
  runDaemon,
} from './run-agent.js';
export { type AgentHandle, type ListenOptions, serveHost } from './serve-host.js';
export { clientPath } from './session/client-path.js';
export { endFacts } from './session/generation-log.js';
export { GenerationRegistry, GRACE_MS } from './session/generation-registry.js';
export type { HandledSession } from './session/handlers.js';
export { defaultStoreDir } from './session/home.js';
export { findModel, type Handler, modelHandlers, withProgress } from './session/model-handlers.js';
export type { SessionHost } from './session/session-host.js';
export { Sessions } from './session/sessions.js';
export { UploadBodies } from './session/upload-bodies.js';
export { AGENT_VERSION } from './session/version.js';
export { type AgentOptions, startAgent } from './start-agent.js';
export { ModelStore, type StoreEntry } from './store/model-store.js';
export { nodeFs } from './store/store-fs.js';
