import { nearestName, PynqLlmError } from '../../errors/index.js';
import { inProcess } from './in-process.js';
import { parseFingerprint } from './pinned-tls.js';
import { type SshLoginOptions, throughSsh } from './ssh.js';
import type { OpenTransport } from './transport.js';
import { webSocket } from './web-socket.js';

export interface PlaceOptions {
  readonly storeDir?: string | undefined;
  readonly threads?: number | undefined;
  readonly ca?: string | undefined;
  readonly fingerprint?: string | undefined;
  readonly ssh?: SshLoginOptions | undefined;
}

/** How to reach a place. */
export interface PlaceTransport {
  /** Several where the URL names several places, of which one answers. */
  readonly open: OpenTransport | readonly OpenTransport[];
  readonly reconnects: boolean;
  /** Where the way there has a login of its own; see SshTransport. */
  readonly prepare?: (signal: AbortSignal | undefined) => Promise<void>;
  readonly dispose?: () => Promise<void>;
}

/**
 * How to connect to the place that a URL names, and whether a lost connection can be made again.
 * @throws PynqLlmError SDK_URL, SDK_FINGERPRINT_INVALID, SSH_TARGET
 */
export function transportFor(url: string, options: PlaceOptions): PlaceTransport {
  if (url === 'mock' || url.startsWith('mock:')) {
    const device = url === 'mock' ? 'mock:' : url;
    return { open: inProcess(device, options.storeDir, options.threads), reconnects: false };
  }
  if (url.startsWith('unix:')) {
    const path = url.slice('unix:'.length);
    // In a ws+unix URL a colon ends the path of the socket.
    if (!path.startsWith('/') || path.includes(':'))
      throw badUrl(url, 'it needs an absolute path without colons');
    return { open: webSocket(`ws+unix:${path}:/`), reconnects: true };
  }
  if (/^wss?:/.test(url) && url.includes(',')) {
    const places = url.split(',');
    const other = places.find((place) => !/^wss?:\/\//.test(place));
    if (other !== undefined)
      throw badUrl(url, `of several places each needs ws:// or wss://, also "${other}"`);
    return { open: places.flatMap((place) => transportFor(place, options).open), reconnects: true };
  }
  if (url.startsWith('ws://') || url.startsWith('wss://')) {
    if (!URL.canParse(url)) throw badUrl(url, 'it is not a URL');
    const { username, password } = new URL(url);
    if (username !== '' || password !== '')
      throw badUrl(url, 'a token goes into the option token, not into the URL');
    const { ca, fingerprint } = options;
    if (fingerprint === undefined) return { open: webSocket(url, { ca }), reconnects: true };
    if (url.startsWith('ws://')) throw badUrl(url, 'it shows no certificate to compare with the fingerprint');
    if (ca !== undefined) throw badUrl(url, 'an authority and a fingerprint are given: one of them decides');
    return { open: webSocket(url, { fingerprint: parseFingerprint(fingerprint) }), reconnects: true };
  }
  if (url.startsWith('ssh://')) return { ...throughSsh(url, options.ssh ?? {}), reconnects: true };
  throw badUrl(url, `its scheme is not known${suggestion(url)}`);
}

const SCHEMES: readonly string[] = ['mock:', 'unix:', 'ws://', 'wss://', 'ssh://'];

/** What was meant by a URL, where that is clear: another scheme, or, without any, a host that one logs in to. */
function suggestion(url: string): string {
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*:(?:\/\/)?)(.*)$/i.exec(url) ?? [];
  if (scheme === undefined) return /^[\w.@-]+$/.test(url) ? `; did you mean ssh://${url}` : '';
  const slashes =
    rest !== undefined && scheme.endsWith(':') && rest.startsWith('/') ? scheme.replace(/:$/, '://') : scheme;
  const nearest = nearestName(slashes, SCHEMES);
  return nearest === undefined
    ? ''
    : `; did you mean ${nearest}${(rest ?? '').replace(/^\/+(?=.)/, nearest === 'unix:' ? '/' : '')}`;
}

function badUrl(url: string, why: string): PynqLlmError {
  const shown = url.replace(/\/\/[^@/]*@/g, '//…@').slice(0, 200);
  return new PynqLlmError('SDK_URL', `"${shown}" cannot be connected to: ${why}.`, {
    context: { url: shown },
  });
}
