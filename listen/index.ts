export { parseListenAddress } from './address.js';
export { type Listener, type ListenerOptions, listen, type TlsFiles } from './listener.js';
export { LimitedLog, type Log, silentLog } from './log.js';
