import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import { PynqLlmError } from '../../errors/index.js';
import type { LinkIdentity } from './identity.js';

/** Whoever is unknown has so long to show its certificate, and so many may do that at a time. */
const HANDSHAKE_MS = 5_000;
const MOST_CONNECTIONS = 32;

/** Where a board of a plan is reached, and what it shows there. Plain data. */
export interface LinkAddress {
  readonly host: string;
  readonly port: number;
  readonly fingerprint: string;
}

/**
 * The one port that a member of a fleet opens, and only where it is told to: mutual TLS 1.3. Who does not show a certificate that is
 * expected is disconnected before any byte of it is read.
 */
export class LinkPort {
  readonly #identity: LinkIdentity;
  readonly #server: Server;
  /** Who is expected, by fingerprint: the plans at hand. */
  readonly #expected = new Map<string, (socket: TLSSocket) => void>();
  readonly #sockets = new Set<TLSSocket>();
  /** Connections that were refused. */
  refused = 0;

  private constructor(identity: LinkIdentity) {
    this.#identity = identity;
    const { certificate: cert, key } = identity;
    this.#server = createServer({
      cert,
      key,
      minVersion: 'TLSv1.3',
      requestCert: true,
      // Nobody signs certificates of links: whether one is expected is looked up below.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_MS,
    });
    this.#server.maxConnections = MOST_CONNECTIONS;
    this.#server.on('secureConnection', (socket) => this.#meet(socket));
    this.#server.on('tlsClientError', (_, socket) => {
      this.refused++;
      socket.destroy();
    });
  }

  /** @param port 0 for any that is free @throws what listening throws, such as EADDRINUSE */
  static async open(identity: LinkIdentity, port: number, host?: string): Promise<LinkPort> {
    const links = new LinkPort(identity);
    await new Promise<void>((resolve, reject) => {
      links.#server.once('error', reject);
      links.#server.listen(port, host, () => {
        links.#server.off('error', reject);
        resolve();
      });
    });
    return links;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get fingerprint(): string {
    return this.#identity.fingerprint;
  }

  /** @param host how others reach this machine */
  addressAt(host: string): LinkAddress {
    return { host, port: this.port, fingerprint: this.fingerprint };
  }

  /** Takes connections of a board from here on. @returns what ends that */
  expect(fingerprint: string, onSocket: (socket: TLSSocket) => void): () => void {
    this.#expected.set(fingerprint, onSocket);
    return () => {
      if (this.#expected.get(fingerprint) === onSocket) this.#expected.delete(fingerprint);
    };
  }

  /**
   * Connects to another board.
   * @throws PynqLlmError FLEET_LINK_REFUSED where another certificate is shown, FLEET_LINK_LOST
   */
  async connect({ host, port, fingerprint }: LinkAddress, timeoutMs: number): Promise<TLSSocket> {
    const { certificate: cert, key } = this.#identity;
    const socket = connect({ host, port, cert, key, minVersion: 'TLSv1.3', rejectUnauthorized: false });
    try {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no handshake within ${timeoutMs} ms`)), timeoutMs);
        const settle = (done: () => void) => () => {
          clearTimeout(timer);
          done();
        };
        socket.once('secureConnect', settle(resolve));
        socket.once('error', (error) => settle(() => reject(error))());
        socket.once(
          'close',
          settle(() => reject(new Error('it was closed'))),
        );
      });
    } catch (cause) {
      socket.destroy();
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new PynqLlmError('FLEET_LINK_LOST', `The link to ${host}:${port} could not be opened: ${why}.`, {
        context: { host, port },
        cause,
      });
    }
    const shown = socket.getPeerX509Certificate()?.fingerprint256;
    if (shown === fingerprint) return socket;
    socket.destroy();
    throw new PynqLlmError(
      'FLEET_LINK_REFUSED',
      `At ${host}:${port} the certificate ${shown ?? 'of nobody'} is shown; the plan has ${fingerprint}.`,
      { context: { host, port, shown: shown ?? '', expected: fingerprint } },
    );
  }

  /** Closes a connection that was not let in. */
  refuse(socket: TLSSocket): void {
    this.refused++;
    socket.destroy();
  }

  /** Closes what is connected to it: the plans that have links there end. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.#expected.clear();
    this.disconnect();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #meet(socket: TLSSocket): void {
    socket.on('error', () => {});
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    const onSocket = this.#expected.get(socket.getPeerX509Certificate()?.fingerprint256 ?? '');
    if (onSocket !== undefined) {
      onSocket(socket);
      return;
    }
    this.refuse(socket);
  }
}
