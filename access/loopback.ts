import { isIP } from 'node:net';

/** Whether only this machine reaches the address. @param host an IP address or a name */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === '::1' || host === 'localhost';
}

/**
 * Whether a Host header names this machine by a name or an address that nobody else can point here. A name of an
 * attacker's that resolves to 127.0.0.1 (DNS rebinding) lets the attacker's web page read the answers of who listens there.
 */
export function isLoopbackHost(header: string): boolean {
  const url = `http://${header}`;
  if (!URL.canParse(url)) return false;
  return isLoopback(new URL(url).hostname.replace(/^\[(.*)\]$/, '$1'));
}
