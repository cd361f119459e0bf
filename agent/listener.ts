import { X509Certificate } from 'node:crypto';
import { lstatSync, readFileSync, unlinkSync } from 'node:fs';
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { AccessControl } from '../access/index.js';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import { type Clock, encodeFrame, MAX_FRAME_BYTES, type ServerSession } from '../protocol/index.js';
import type { AgentCore } from './core.js';
import type { ListenAddress } from './listen-address.js';
import type { Log } from './log.js';
import { SocketPort } from './socket-port.js';

/** Connections at a time, those that have not said hello included. */
const MAX_CONNECTIONS = 128;
/** A connection has to finish its HTTP request within this time. */
const HEADERS_DEADLINE_MS = 5_000;
/** And a request with its body, a long prompt over a slow line. */
const REQUEST_DEADLINE_MS = 30_000;

export interface TlsFiles {
  /** Paths of PEM files. */
  readonly keyFile: string;
  readonly certFile: string;
}

export interface ListenerOptions {
  readonly address: ListenAddress;
  readonly core: AgentCore;
  readonly access: AccessControl;
  readonly clock: Clock;
  readonly log: Log;
  readonly tls: TlsFiles | undefined;
  /** Values of the Origin header that are let in; browsers send one, other clients do not. */
  readonly origins: readonly string[];
}

export interface Listener {
  /** What a client connects to. */
  readonly url: string;
  /** With TLS the SHA-256 of the certificate, for clients to pin. */
  readonly fingerprint: string | undefined;
  /** From now on requests that are no WebSockets are answered by this. */
  serveHttp(answer: RequestListener): void;
  /** Resolves once no request waits for its answer, after `ms` milliseconds at the latest. */
  answered(ms: number): Promise<void>;
  close(): Promise<void>;
}

/** Serves sessions on a socket. @throws PynqLlmError AGENT_LISTEN_FAILED, AGENT_TLS */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const server = createServer(options.tls);
  server.maxConnections = MAX_CONNECTIONS;
  server.headersTimeout = HEADERS_DEADLINE_MS;
  server.requestTimeout = REQUEST_DEADLINE_MS;
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    // Somewhat larger than a frame may be, so that the session can say what was wrong.
    maxPayload: 2 * MAX_FRAME_BYTES,
    skipUTF8Validation: true,
  });
  let http: RequestListener = (_, response) => {
    response.writeHead(426, { 'content-type': 'text/plain', connection: 'close' });
    response.end('This is a pynq-llm agent: it speaks WebSocket. Use the pynq-llm command or SDK.\n');
  };
  let pending = 0;
  let onAnswered = () => {};
  server.on('request', (request, response) => {
    pending++;
    response.once('close', () => {
      pending--;
      onAnswered();
    });
    http(request, response);
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const { origin } = request.headers;
    if (origin !== undefined && !options.origins.includes(origin)) {
      options.log.warn({ origin }, 'refused a browser by its origin');
      socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      serve(webSocket, request.socket, options);
    });
  });
  await bind(server, options.address);
  return {
    url: urlOf(server, options.address, options.tls !== undefined),
    fingerprint: options.tls && new X509Certificate(readFileSync(options.tls.certFile)).fingerprint256,
    serveHttp: (answer) => {
      http = answer;
    },
    answered: (ms) =>
      new Promise((resolve) => {
        const stop = options.clock.after(ms, resolve);
        onAnswered = () => {
          if (pending > 0) return;
          stop();
          resolve();
        };
        onAnswered();
      }),
    close: async () => {
      for (const client of sockets.clients) client.close(1001);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const stop = options.clock.after(1_000, () => {
        for (const client of sockets.clients) client.terminate();
        server.closeAllConnections();
      });
      await closed;
      stop();
    },
  };
}

function serve(socket: WebSocket, connection: Socket, { core, access, clock, log }: ListenerOptions): void {
  const remote = connection.remoteAddress ?? 'unix socket';
  let session: ServerSession;
  const port = new SocketPort(socket, connection, clock, (reason) => {
    log.warn({ remote }, 'a client stopped reading');
    session.fail(reason);
    socket.terminate();
  });
  socket.on('error', (error) => log.warn({ err: error, remote }, 'socket error'));
  try {
    session = core.openSession(port, (token) => access.admit(token, remote));
  } catch (error) {
    if (!isPynqLlmError(error)) throw error;
    port.send(encodeFrame({ fatal: error.toWire() }));
    port.close(error);
    return;
  }
  socket.on('message', (data) => {
    port.heard();
    // With the default binaryType every message is one Buffer.
    if (data instanceof Uint8Array) session.receive(data);
  });
  socket.on('close', () => session.close());
}

function createServer(tls: TlsFiles | undefined): Server {
  if (tls === undefined) return createHttpServer();
  try {
    return createHttpsServer({ key: readFileSync(tls.keyFile), cert: readFileSync(tls.certFile) });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PynqLlmError('AGENT_TLS', `${tls.keyFile} and ${tls.certFile} cannot be used: ${why}.`, {
      cause,
    });
  }
}

async function bind(server: Server, address: ListenAddress): Promise<void> {
  if (address.kind === 'unix') await removeStaleSocket(address.path);
  await new Promise<void>((resolve, reject) => {
    const where = address.kind === 'unix' ? address.path : `${address.host}:${address.port}`;
    server.once('error', (cause) =>
      reject(
        new PynqLlmError('AGENT_LISTEN_FAILED', `${where} cannot be listened on: ${cause.message}.`, {
          cause,
        }),
      ),
    );
    if (address.kind === 'tcp') {
      server.listen(address.port, address.host, resolve);
      return;
    }
    // Only the user that runs the agent may connect: the socket is made with these rights from the start.
    const before = process.umask(0o177);
    try {
      server.listen(address.path, resolve);
    } finally {
      process.umask(before);
    }
  });
}

/** A socket that a killed agent left behind. One that somebody listens on stays, and listening on it fails. */
async function removeStaleSocket(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const isStale = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error) => resolve('code' in error && error.code === 'ECONNREFUSED'));
  });
  if (isStale) unlinkSync(path);
}

function urlOf(server: Server, address: ListenAddress, isTls: boolean): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  // A TCP server's address is an AddressInfo once it listens.
  const { port } = server.address() as AddressInfo;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${isTls ? 'wss' : 'ws'}://${host}:${port}`;
}
