import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { z } from 'zod';

/** What a broker says of itself to whoever connects, before anything is encrypted or asked. */
export interface Greeting {
  /** Of nats-server, such as 2.9.10. */
  readonly version: string;
  readonly hasJetStream: boolean;
  /** Whether messages may have headers. */
  readonly hasHeaders: boolean;
  /** The largest message, bytes. */
  readonly maxPayload: number;
  readonly offersTls: boolean;
  /** Whether nobody is let in without TLS. */
  readonly demandsTls: boolean;
  /** Whether it asks who comes. */
  readonly asksForKey: boolean;
}
/** A certificate that a broker shows. */
export interface ShownCertificate {
  /** SHA-256, as "AA:BB:…". */
  readonly fingerprint: string;
  readonly pem: string;
  readonly isSelfSigned: boolean;
  /** Milliseconds since 1970 between which it is good. */
  readonly from: number;
  readonly to: number;
}

const MAX_GREETING = 65_536;
const flag = z.boolean().default(false);
const info = z.object({
  version: z.string().max(40),
  jetstream: flag,
  headers: flag,
  max_payload: z.number(),
  tls_required: flag,
  tls_available: flag,
  auth_required: flag,
});

/** Reads the greeting from a stream that has just been opened. @throws Error for what is no broker, or is silent; what the network throws */
export function greetingOf(stream: Duplex, signal: AbortSignal): Promise<Greeting> {
  return new Promise((resolve, reject) => {
    let text = '';
    signal.addEventListener('abort', () => reject(new Error('it did not greet in time')));
    stream.on('error', reject);
    stream.on('close', () => reject(new Error('it closed the connection')));
    const hear = (bytes: Buffer) => {
      text += bytes.toString('latin1');
      if (text.length > MAX_GREETING || !'INFO '.startsWith(text.slice(0, 5)))
        return reject(new Error('what listens there is no NATS server'));
      const end = text.indexOf('\r\n');
      if (end < 0) return;
      stream.off('data', hear);
      stream.pause();
      try {
        resolve(read(text.slice(5, end)));
      } catch {
        reject(new Error('what listens there is no NATS server'));
      }
    };
    stream.on('data', hear);
  });
}

function read(text: string): Greeting {
  const said = info.parse(JSON.parse(text));
  return {
    version: said.version,
    hasJetStream: said.jetstream,
    hasHeaders: said.headers,
    maxPayload: said.max_payload,
    offersTls: said.tls_required || said.tls_available,
    demandsTls: said.tls_required,
    asksForKey: said.auth_required,
  };
}

/** The certificate of a broker that has greeted. @throws Error where it shows none, or not in time; what the network throws */
export function certificateOf(stream: Duplex, signal: AbortSignal): Promise<ShownCertificate> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('it did not end its TLS handshake in time')));
    // Whoever it is, only its certificate is looked at.
    const secured = connectTls({ socket: stream, rejectUnauthorized: false }, () => {
      const certificate = secured.getPeerX509Certificate();
      if (!certificate) return reject(new Error('it shows no certificate'));
      resolve({
        fingerprint: certificate.fingerprint256,
        pem: certificate.toString(),
        isSelfSigned: certificate.checkIssued(certificate),
        from: Date.parse(certificate.validFrom),
        to: Date.parse(certificate.validTo),
      });
    });
    secured.on('error', reject);
    secured.on('close', () => reject(new Error('it closed the connection')));
  });
}
