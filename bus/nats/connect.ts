import { readFileSync } from 'node:fs';
import type { ConnectionOptions, NatsConnection } from '@nats-io/transport-node';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { Bus } from '../bus.js';
import { checkName, checkRange } from '../checks.js';
import { NatsBus } from './bus.js';
import { fetchPinned } from './certificate.js';
import { readSeed } from './credentials.js';
import { isTimeout, typedError } from './errors.js';
import { NatsLink } from './link.js';
import { lacksOf } from './needs.js';
import { type BrokerAddress, parseBrokerUrl } from './url.js';

export interface NatsOptions {
  /** nats://HOST[:PORT], or tls://HOST[:PORT], which goes on only with TLS; 4222 if no port is given. */
  readonly url: string;
  /** File with the nkey's seed, which only its owner can read. Without it no key is shown. */
  readonly credentials?: string;
  /** Certificates that sign the broker's, a PEM file, instead of the system's. TLS is then demanded. */
  readonly ca?: string;
  /** The one certificate, self-signed, that the broker may show: its SHA-256 fingerprint, hexadecimal, with or without colons. TLS is then demanded. */
  readonly fingerprint?: string;
  /**
   * What answers are sent to begins with `_INBOX_` and this, so that a key's permissions can keep others from hearing them; for a board
   * its name. "pynq-llm" if not given.
   */
  readonly inbox?: string;
  /** What the subjects of JetStream's interface begin with where the key's account has them from another one: "$JS.API" if not given. */
  readonly api?: string;
  /** How long the first connection may take, and each later attempt: 5,000 ms if not given. */
  readonly timeoutMs?: number;
  /** Hears what belongs to no call: what the broker refused to publish, and what it complains about. */
  readonly onError?: (error: PynqLlmError) => void;
}

/**
 * Connects to a NATS server with JetStream, 2.9.10 or later. After the first connection it comes back by itself.
 * @throws BUS_URL_INVALID, BUS_CREDENTIALS_FILE, BUS_CREDENTIALS_REFUSED, BUS_TLS, BUS_UNAVAILABLE, BUS_BROKER_TOO_OLD,
 * BUS_NO_JETSTREAM, BUS_SERVER_LIMIT
 */
export async function connectNats(options: NatsOptions): Promise<Bus> {
  const { credentials, ca, inbox = 'pynq-llm', api, onError = () => {} } = options;
  const timeoutMs = checkRange('timeoutMs', options.timeoutMs ?? 5_000, 100, 600_000);
  checkName(inbox);
  const address = parseBrokerUrl(options.url);
  const fingerprint = options.fingerprint === undefined ? undefined : parsePin(options.fingerprint);
  if (ca !== undefined && fingerprint !== undefined)
    throw new PynqLlmError('BUS_TLS', 'An authority and a fingerprint are given.', {
      remedy: 'Give one of them: it decides.',
    });
  const authority = ca === undefined ? undefined : readAuthority(ca);
  const { nats } = await import('./library.js');
  const inboxPrefix = `_INBOX_${inbox}`;

  const open = async () => {
    const began = performance.now();
    try {
      const pem =
        fingerprint === undefined
          ? authority
          : await fetchPinned(address.host, address.port, fingerprint, timeoutMs);
      const config: ConnectionOptions = {
        servers: `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`,
        name: inbox,
        inboxPrefix,
        reconnect: false,
        // Which servers there are is decided here, not by whom we reach.
        ignoreClusterUpdates: true,
        timeout: Math.max(100, timeoutMs - Math.ceil(performance.now() - began)),
        pingInterval: 5_000,
        maxPingOut: 2,
        // Two stacks less that each request captures in case that it fails.
        noAsyncTraces: true,
        ...(credentials !== undefined && {
          // Read each time, so that a key can be changed while a fleet runs.
          authenticator: nats.nkeyAuthenticator(await readSeed(credentials)),
        }),
        ...tlsOptions(address, pem, fingerprint),
      };
      return await checked(await nats.connect(config));
    } catch (error) {
      throw explained(error, address, timeoutMs);
    }
  };
  const link = new NatsLink(open, onError, api);
  await link.connect();
  return new NatsBus(link, nats, `nats://${address.host}:${address.port}`, inboxPrefix);
}

function tlsOptions(
  { host, tls }: BrokerAddress,
  pem: string | undefined,
  fingerprint: string | undefined,
): ConnectionOptions {
  // The library names the host only where it is no address; Node.js would compare the certificate with "localhost".
  const named = { host } as NonNullable<ConnectionOptions['tls']>;
  if (pem === undefined) return tls ? { tls: named } : {};
  if (fingerprint === undefined) return { tls: { ...named, ca: pem } };
  // The pin stands for the name. Whoever shows another certificate than the one just compared fails at the authority already.
  const checkServerIdentity = (_host: string, { fingerprint256 }: { fingerprint256: string }) =>
    fingerprint256 === fingerprint ? undefined : new Error('certificate is not the pinned one');
  return { tls: { ...named, ca: pem, checkServerIdentity } as typeof named };
}

/** Closes what does not do. */
async function checked(connection: NatsConnection): Promise<NatsConnection> {
  const problem = unfit(connection);
  if (!problem) return connection;
  await connection.close();
  throw problem;
}
function unfit({ info }: NatsConnection): PynqLlmError | undefined {
  const [first] = lacksOf({
    version: info?.version ?? 'unknown',
    hasJetStream: info?.jetstream === true,
    hasHeaders: info?.headers === true,
    maxPayload: info?.max_payload ?? 0,
  });
  return first;
}

/** Says whom it was about. */
function explained(error: unknown, { host, port }: BrokerAddress, timeoutMs: number): PynqLlmError {
  // A fault of the program is no broker's.
  if (error instanceof TypeError) throw error;
  const typed = typedError(error, `${host}:${port}`);
  if (!isPynqLlmError(typed, 'BUS_UNAVAILABLE')) return typed;
  const why = isTimeout(error) ? `no answer within ${timeoutMs} ms.` : typed.what;
  return new PynqLlmError('BUS_UNAVAILABLE', `${host}:${port} cannot be used as a broker: ${why}`, {
    cause: error,
    context: { host, port },
  });
}

/** @throws BUS_TLS */
function parsePin(text: string): string {
  const digits = text.replace(/[:\s]/g, '').toUpperCase();
  if (/^[0-9A-F]{64}$/.test(digits)) return digits.match(/../g)!.join(':');
  throw new PynqLlmError('BUS_TLS', `"${text.slice(0, 120)}" is no SHA-256 fingerprint of a certificate.`, {
    remedy:
      'Take what `openssl x509 -in CERTIFICATE -noout -fingerprint -sha256` prints after the "=": 64 hexadecimal digits.',
  });
}

/** @throws BUS_TLS */
function readAuthority(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch (error) {
    const what = `The authority's certificate cannot be read: ${(error as Error).message}.`;
    throw new PynqLlmError('BUS_TLS', what, { cause: error, remedy: 'Name a PEM file.' });
  }
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw new PynqLlmError('BUS_TLS', `${file} holds no certificate.`, { remedy: 'Name a PEM file.' });
}
