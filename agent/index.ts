export { type AgentFlags, runAgent } from './run-agent.js';
export { type AgentHandle, type AgentOptions, startAgent } from './start-agent.js';
