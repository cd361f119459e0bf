import { PynqLlmError } from '../../errors/index.js';

/** What a device URL leads to, as far as the doctor has to know. */
export type Target =
  | { readonly kind: 'mock'; readonly url: string }
  | { readonly kind: 'unix'; readonly url: string; readonly path: string }
  | { readonly kind: 'ws'; readonly url: string; readonly host: string; readonly port: number }
  | { readonly kind: 'ssh'; readonly url: string };

/** Reads a device URL. @throws PynqLlmError SDK_URL */
export function parseTarget(url: string): Target {
  if (url === 'mock' || url.startsWith('mock:')) return { kind: 'mock', url };
  if (url.startsWith('unix:')) return { kind: 'unix', url, path: url.slice('unix:'.length) };
  if (url.startsWith('ssh://') && URL.canParse(url)) return { kind: 'ssh', url };
  if (/^wss?:\/\//.test(url) && URL.canParse(url)) {
    const { hostname, port, protocol } = new URL(url);
    const usual = protocol === 'wss:' ? 443 : 80;
    return {
      kind: 'ws',
      url,
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? usual : Number(port),
    };
  }
  throw new PynqLlmError('SDK_URL', 'The device URL is none that the doctor knows.');
}
