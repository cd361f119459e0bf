export { openSsh, type SshOptions } from './connect.js';
export type { ExecOptions, ExecResult, RemoteHost, UploadSource } from './connection.js';
export { SshConnection } from './connection.js';
export type { SshPrompts } from './prompts.js';
export { quote } from './quote.js';
export { fileBeside, type ScriptValues, shellCommand, shellScript } from './script.js';
export { CLEAN_ENVIRONMENT } from './sudo.js';
export { formatTarget, parseSshTarget, parseSshUrl, type SshTarget } from './target.js';
