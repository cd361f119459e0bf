import { PynqLlmError } from '../../errors/index.js';

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  /** Whether TLS is demanded. */
  readonly tls: boolean;
}

/** @throws BUS_URL_INVALID */
export function parseBrokerUrl(text: string): BrokerAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const shown = `"${text.slice(0, 120).replace(/\/\/[^@/]*@/, '//…@')}"`;
  const bad = (why: string) => new PynqLlmError('BUS_URL_INVALID', `${shown} ${why}.`);
  if (!url || (url.protocol !== 'nats:' && url.protocol !== 'tls:')) throw bad('is no URL of a broker');
  if (url.username !== '' || url.password !== '')
    throw bad('holds a name or password, which others could read in lists of processes');
  if (url.hostname === '') throw bad('names no host');
  if ((url.pathname !== '' && url.pathname !== '/') || url.search !== '' || url.hash !== '')
    throw bad('has more than a host and a port');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { host, port: url.port === '' ? 4_222 : Number(url.port), tls: url.protocol === 'tls:' };
}
