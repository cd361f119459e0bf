import { Agent, type AgentOptions, type RequestOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { PynqLlmError } from '../../errors/index.js';

/** A TLS handshake that does not end in this time ends in an error. */
const HANDSHAKE_MS = 20_000;

/**
 * Reads the SHA-256 of a certificate as people copy it: 64 hexadecimal digits, with or without colons, with or without
 * `SHA256:` or OpenSSL's `sha256 Fingerprint=` before them.
 * @returns the digits in pairs with colons, in capitals, as Node shows them
 * @throws PynqLlmError SDK_FINGERPRINT_INVALID
 */
export function parseFingerprint(text: string): string {
  const digits = text
    .trim()
    .replace(/^sha-?256(?:\s+fingerprint)?\s*[:=]\s*/i, '')
    .replaceAll(':', '')
    .toUpperCase();
  const pairs = /^[0-9A-F]{64}$/.test(digits) ? digits.match(/../g) : null;
  if (pairs !== null) return pairs.join(':');
  throw new PynqLlmError(
    'SDK_FINGERPRINT_INVALID',
    `"${text.slice(0, 120)}" is no SHA-256 fingerprint of a certificate.`,
  );
}

/**
 * Connects with TLS to whoever shows the certificate of this fingerprint, and sends nothing to anybody else. The pin
 * stands for the authority, the name and the dates of the certificate: a board's own is signed by nobody.
 */
export class PinnedAgent extends Agent {
  readonly #fingerprint: string;
  readonly #signal: AbortSignal | undefined;

  /** @param fingerprint as `parseFingerprint` gives it @param signal ends a handshake under way, where one does */
  constructor(fingerprint: string, signal?: AbortSignal, options: AgentOptions = {}) {
    super(options);
    this.#fingerprint = fingerprint;
    this.#signal = signal;
  }

  override createConnection(
    options: RequestOptions,
    callback: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const socket = connect({
      host: options.host ?? undefined,
      port: Number(options.port),
      servername: options.servername,
      rejectUnauthorized: false,
    });
    // Until the HTTP client listens, and after it, an error that nobody listens to would end the process.
    socket.on('error', () => undefined);
    const fail = (error: Error) => callback(error, socket);
    socket.once('error', fail);
    const onAbort = () => socket.destroy(new Error('the attempt was given up'));
    this.#signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('close', () => this.#signal?.removeEventListener('abort', onAbort));
    socket.setTimeout(HANDSHAKE_MS, () => socket.destroy(new Error('the TLS handshake took too long')));
    socket.once('secureConnect', () => {
      socket.setTimeout(0);
      const shown = socket.getPeerX509Certificate()?.fingerprint256;
      if (shown !== this.#fingerprint) {
        socket.destroy(this.#mismatch(shown ?? 'none'));
        return;
      }
      this.#signal?.removeEventListener('abort', onAbort);
      socket.off('error', fail);
      callback(null, socket);
    });
  }

  #mismatch(shown: string): PynqLlmError {
    return new PynqLlmError(
      'SDK_FINGERPRINT_MISMATCH',
      `The agent shows a certificate with the SHA-256 fingerprint ${shown}; ${this.#fingerprint} is expected.`,
      { context: { shown, expected: this.#fingerprint } },
    );
  }
}
