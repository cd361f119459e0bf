import type { Duplex } from 'node:stream';
import type { PynqLlmError } from '../../errors/index.js';
import { certificateOf, type Greeting, greetingOf, type ShownCertificate } from './greeting.js';
import { lacksOf } from './needs.js';
import { parseBrokerUrl } from './url.js';

/** What a broker shows to whoever connects, without a key. */
export interface BrokerLook {
  readonly greeting: Greeting;
  /** What it lacks of what a fleet needs: BUS_BROKER_TOO_OLD, BUS_NO_JETSTREAM, BUS_SERVER_LIMIT. */
  readonly lacks: readonly PynqLlmError[];
  /** Where it offers TLS. */
  readonly certificate: ShownCertificate | undefined;
  /** Whether its URL says tls://. */
  readonly wantsTls: boolean;
  /** HOST:PORT */
  readonly place: string;
}

/**
 * Looks at a broker from wherever the stream begins, which ends with it; nothing of ours is sent.
 * @throws BUS_URL_INVALID; Error where no broker answers within the time
 */
export async function lookAtBroker(
  url: string,
  open: (host: string, port: number) => Promise<Duplex>,
  timeoutMs: number,
): Promise<BrokerLook> {
  const { host, port, tls } = parseBrokerUrl(url);
  const stream = await open(host, port);
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const greeting = await greetingOf(stream, signal);
    const certificate = greeting.offersTls ? await certificateOf(stream, signal) : undefined;
    return { greeting, lacks: lacksOf(greeting), certificate, wantsTls: tls, place: `${host}:${port}` };
  } finally {
    // What it says while it ends is nobody's.
    stream.on('error', () => {});
    stream.destroy();
  }
}
