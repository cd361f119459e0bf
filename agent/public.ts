/** What a program that runs an agent of its own imports, as `pynq-llm/agent`. */
export type { Admission, Token, Tokens } from '../access/index.js';
export type { Log, TlsFiles } from '../listen/index.js';
export type { KvType, Role, UploadRange } from '../protocol/index.js';
export type { InProcessAgent, InProcessEvents } from './in-process.js';
export { type AgentHandle, type AgentOptions, startAgent } from './start-agent.js';
export type { KvSettings } from './worker-link/kv-settings.js';
