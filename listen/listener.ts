import { X509Certificate } from 'node:crypto';
import { lstatSync, readFileSync, unlinkSync } from 'node:fs';
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { AccessControl, Admission } from '../access/index.js';
import { PynqLlmError } from '../errors/index.js';
import { type Clock, UPLOAD_PATH } from '../protocol/index.js';
import { type ListenAddress, UNIX_SOCKET } from './address.js';
import { Connections } from './connections.js';
import type { Log } from './log.js';
import { type SessionOptions, serveUpgrades } from './upgrades.js';

/** A client that sends the head of its request a byte at a time: with TLS the handshake before it, too. */
const HEAD_DEADLINE_MS = 5_000;
/** And a request with its body, a long prompt over a slow line. */
const REQUEST_DEADLINE_MS = 30_000;
/** Node looks for those that are late so often, every half minute unless told. */
const LOOK_MS = 500;

export interface TlsFiles {
  /** Paths of PEM files. */
  readonly keyFile: string;
  readonly certFile: string;
}

export interface ListenerOptions {
  readonly address: ListenAddress;
  readonly access: AccessControl;
  readonly clock: Clock;
  readonly log: Log;
  readonly tls?: TlsFiles | undefined;
  /** WebSockets; without them an upgrade is a request like any other. */
  readonly sessions?: SessionOptions | undefined;
}

export interface Listener {
  /** What a client connects to. */
  readonly url: string;
  /** With TLS the SHA-256 of the certificate, for clients to pin. */
  readonly fingerprint: string | undefined;
  /** From now on requests that are no WebSockets are answered by this. */
  serveHttp(answer: RequestListener): void;
  /** From now on requests below UPLOAD_PATH are answered by this, which says itself that the body may come. */
  serveUploads(answer: RequestListener): void;
  /**
   * The role and the share of who sent this request with this token; its connection is kept from now on as one of those of known clients.
   * @throws PynqLlmError AGENT_UNAUTHORISED, AGENT_TOO_MANY_ATTEMPTS, AGENT_TOO_MANY_SESSIONS
   */
  admit(token: string | undefined, request: IncomingMessage): Admission;
  /** Resolves once no request waits for its answer, after `ms` milliseconds at the latest. */
  answered(ms: number): Promise<void>;
  close(): Promise<void>;
}

interface Exchange {
  readonly response: ServerResponse;
  /** Whether the client wants its connection to be kept. */
  readonly keepsAlive: boolean;
}

/**
 * Listens for clients and keeps those who are not known yet within limits: see Connections.
 * @throws PynqLlmError AGENT_LISTEN_FAILED, AGENT_TLS
 */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { access, address, clock, sessions, tls } = options;
  const server = createServer(tls);
  const connections = new Connections(clock);
  enterFirst(server, connections);
  let http: RequestListener = (_, response) => {
    response.writeHead(426, { 'content-type': 'text/plain' });
    response.end('This is a pynq-llm agent: it speaks WebSocket. Use the pynq-llm command or SDK.\n');
  };
  let uploads: RequestListener | undefined;
  /** By socket: its request that is being answered. */
  const underWay = new Map<Socket, Exchange>();
  const watched = new WeakSet<Socket>();
  let onAnswered = () => {};
  const forget = (socket: Socket) => {
    if (underWay.delete(socket) && underWay.size === 0) onAnswered();
  };
  const take: RequestListener = (request, response) => {
    const { socket } = request;
    // A stranger could have a thousand requests answered for one packet, and Node tells nobody when the connection of one
    // that waits for its turn is lost. No client of today sends the next request before it has the answer.
    const isKnown = connections.isKnown(socket);
    const before = underWay.get(socket)?.response;
    if (socket.destroyed || (before !== undefined && !(isKnown && before.writableEnded))) {
      socket.destroy();
      return;
    }
    if (!watched.has(socket)) socket.once('close', () => forget(socket));
    watched.add(socket);
    underWay.set(socket, { response, keepsAlive: response.shouldKeepAlive });
    response.once('finish', () => {
      if (underWay.get(socket)?.response === response) forget(socket);
    });
    // Who is not known by the end of the answer makes room for the next one.
    if (!isKnown) response.shouldKeepAlive = false;
    const answer = uploads !== undefined && isUpload(request) ? uploads : http;
    answer(request, response);
  };
  server.on('request', take);
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (uploads === undefined || !isUpload(request)) response.writeContinue();
    take(request, response);
  });
  server.on('checkExpectation', (_, response: ServerResponse) => {
    response.shouldKeepAlive = false;
    response.writeHead(417).end();
  });
  const admitted = new WeakMap<
    Socket,
    { readonly token: string | undefined; readonly admission: Admission }
  >();
  const upgrades = sessions && serveUpgrades(server, connections, { ...options, ...sessions });
  await bind(server, address);
  return {
    url: urlOf(server, address, tls !== undefined),
    fingerprint: tls && new X509Certificate(readFileSync(tls.certFile)).fingerprint256,
    serveHttp: (answer) => {
      http = answer;
    },
    serveUploads: (answer) => {
      uploads = answer;
    },
    admit: (token, request) => {
      const { socket } = request;
      const before = admitted.get(socket);
      // Wrong tokens of others behind the same address are not this client's.
      if (before !== undefined && before.token === token) return before.admission;
      const admission = access.admit(token, socket.remoteAddress ?? UNIX_SOCKET);
      connections.know(socket, 'http', admission.share.join(' / '));
      admitted.set(socket, { token, admission });
      const exchange = underWay.get(socket);
      if (exchange !== undefined) exchange.response.shouldKeepAlive = exchange.keepsAlive;
      return admission;
    },
    answered: (ms) =>
      new Promise((resolve) => {
        const stop = clock.after(ms, resolve);
        onAnswered = () => {
          if (underWay.size > 0) return;
          stop();
          resolve();
        };
        onAnswered();
      }),
    close: async () => {
      upgrades?.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const stop = clock.after(1_000, () => {
        upgrades?.terminate();
        connections.destroyAll();
      });
      await closed;
      stop();
    },
  };
}

function isUpload({ url }: IncomingMessage): boolean {
  return url?.startsWith(UPLOAD_PATH) === true;
}

/** Lets each accepted connection wait for its place before the server begins to read from it. */
function enterFirst(server: Server, connections: Connections): void {
  const served = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) =>
    connections.enter(socket, () => {
      for (const serve of served) serve.call(server, socket);
    }),
  );
  // With TLS what carries the data is another object, which has errors of its own.
  server.on('secureConnection', (socket: Socket) => socket.on('error', () => undefined));
}

function createServer(tls: TlsFiles | undefined): Server {
  const deadlines: ServerOptions = {
    headersTimeout: HEAD_DEADLINE_MS,
    requestTimeout: REQUEST_DEADLINE_MS,
    connectionsCheckingInterval: LOOK_MS,
  };
  if (tls === undefined) return createHttpServer(deadlines);
  try {
    return createHttpsServer({
      ...deadlines,
      handshakeTimeout: HEAD_DEADLINE_MS,
      key: readFileSync(tls.keyFile),
      cert: readFileSync(tls.certFile),
    });
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
