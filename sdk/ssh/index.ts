export { openSsh, type SshOptions } from './connect.js';
export type { ExecOptions, ExecResult, RemoteHost, UploadSource } from './connection.js';
export { SshConnection } from './connection.js';
export type { HostKeyQuestion, SshPrompts } from './prompts.js';
export { quote } from './quote.js';
export { AGENT_SOCKET, formatTarget, parseSshTarget, parseSshUrl, type SshTarget } from './target.js';
