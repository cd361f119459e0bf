import { connect as connectTcp } from 'node:net';
import { PynqLlmError } from '../../errors/index.js';
import { certificateOf, greetingOf } from './greeting.js';

/**
 * Fetches the certificate of a broker and compares it with the pinned one; nothing of ours is sent. A broker greets in plain text before TLS begins.
 * @param fingerprint SHA-256, as "AA:BB:…"
 * @returns the certificate, PEM
 * @throws BUS_TLS where it is another one, or one that cannot be trusted by itself; what the network throws
 */
export async function fetchPinned(
  host: string,
  port: number,
  fingerprint: string,
  timeoutMs: number,
): Promise<string> {
  const socket = connectTcp({ host, port });
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const { offersTls } = await greetingOf(socket, signal);
    if (!offersTls) throw new PynqLlmError('BUS_TLS', 'The broker offers no TLS; a certificate is pinned.');
    const { fingerprint: shown, pem, isSelfSigned } = await certificateOf(socket, signal);
    if (shown !== fingerprint)
      throw new PynqLlmError(
        'BUS_TLS',
        `The broker shows a certificate with the SHA-256 fingerprint ${shown}; ${fingerprint} is pinned.`,
        { context: { shown, pinned: fingerprint } },
      );
    if (!isSelfSigned)
      throw new PynqLlmError('BUS_TLS', 'The pinned certificate is signed by another one.', {
        remedy: "Give that authority's certificate as a file instead of a fingerprint.",
      });
    return pem;
  } finally {
    socket.destroy();
  }
}
