export type { Tokens } from './access.js';
export type { TlsFiles } from './listener.js';
export type { Log } from './log.js';
export { type AgentFlags, runAgent } from './run-agent.js';
export { type AgentHandle, type AgentOptions, startAgent } from './start-agent.js';
