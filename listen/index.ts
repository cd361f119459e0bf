export { parseListenAddress } from './address.js';
export { type Listener, type ListenerOptions, listen, type TlsFiles } from './listener.js';
export { type Log, silentLog } from './log.js';
