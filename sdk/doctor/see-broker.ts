import type { Duplex } from 'node:stream';
import { type BrokerLook, lookAtBroker } from '../../bus/nats/look.js';

const LOOK_MS = 10_000;

/** A fleet's broker, as the doctor was told of it or as the board has it. */
export interface KnownFleet {
  /** nats://HOST[:PORT] or tls://HOST[:PORT] */
  readonly url: string;
  /** SHA-256 of the one certificate that it may show. */
  readonly fingerprint: string | undefined;
}
/** What was seen of it: an error where it could not be reached, a text where there is no way to the board. */
export interface SeenBroker extends KnownFleet {
  readonly look: BrokerLook | Error | string;
  readonly ms: number;
}

/** @param open connects from where the board is; a text says why nothing can */
export async function seeBroker(
  { url, fingerprint }: KnownFleet,
  open: ((host: string, port: number) => Promise<Duplex>) | string,
): Promise<SeenBroker> {
  const began = performance.now();
  const look =
    typeof open === 'string'
      ? open
      : await lookAtBroker(url, open, LOOK_MS).catch((error: unknown) =>
          error instanceof Error ? error : new Error(String(error)),
        );
  return { url, fingerprint, look, ms: performance.now() - began };
}
