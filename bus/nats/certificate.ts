import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { PynqLlmError } from '../../errors/index.js';

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
    await greeted(socket, signal);
    const { shown, pem, selfSigned } = await certificateOf(socket, signal);
    if (shown !== fingerprint)
      throw new PynqLlmError(
        'BUS_TLS',
        `The broker shows a certificate with the SHA-256 fingerprint ${shown}; ${fingerprint} is pinned.`,
        { context: { shown, pinned: fingerprint } },
      );
    if (!selfSigned)
      throw new PynqLlmError('BUS_TLS', 'The pinned certificate is signed by another one.', {
        remedy: "Give that authority's certificate as a file instead of a fingerprint.",
      });
    return pem;
  } finally {
    socket.destroy();
  }
}

function greeted(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    signal.addEventListener('abort', () => reject(new Error('it did not greet in time')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('it closed the connection')));
    const hear = (bytes: Buffer) => {
      text += bytes.toString('latin1');
      if (text.length > 65_536 || !'INFO '.startsWith(text.slice(0, 5)))
        return reject(new Error('what listens there is no NATS server'));
      if (!text.includes('\r\n')) return;
      socket.off('data', hear);
      socket.pause();
      if (/"tls_(required|available)":true/.test(text)) resolve();
      else reject(new PynqLlmError('BUS_TLS', 'The broker offers no TLS; a certificate is pinned.'));
    };
    socket.on('data', hear);
  });
}

function certificateOf(
  socket: Socket,
  signal: AbortSignal,
): Promise<{ shown: string; pem: string; selfSigned: boolean }> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('it did not end its TLS handshake in time')));
    // Whoever it is, only its certificate is looked at.
    const secured = connectTls({ socket, rejectUnauthorized: false }, () => {
      const certificate = secured.getPeerX509Certificate();
      if (!certificate) return reject(new Error('it shows no certificate'));
      resolve({
        shown: certificate.fingerprint256,
        pem: certificate.toString(),
        selfSigned: certificate.checkIssued(certificate),
      });
    });
    secured.on('error', reject);
    secured.on('close', () => reject(new Error('it closed the connection')));
  });
}
