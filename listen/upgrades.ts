import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { type AccessControl, type Admission, isLetIn } from '../access/index.js';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import {
  type Clock,
  encodeFrame,
  type FramePort,
  MAX_FRAME_BYTES,
  MAX_FRAME_BYTES_BEFORE_HELLO,
  type ServerSession,
} from '../protocol/index.js';
import { UNIX_SOCKET } from './address.js';
import type { Connections } from './connections.js';
import type { Log } from './log.js';
import { MemoryLimit, type MemoryUser } from './memory-limit.js';
import { SocketPort } from './socket-port.js';

/** Known clients that each begin a large frame and leave it, or each let answers wait, as much as one client may. */
const MAX_BYTES_OF_ALL = 48 * 1024 * 1024;

/** How WebSockets are served. */
export interface SessionOptions {
  /** Begins a session. @param admit the client's role and share by its token; throws to refuse it */
  readonly open: (port: FramePort, admit: (token: string | undefined) => Admission) => ServerSession;
  /** Values of the Origin header that are let in; browsers send one, other clients do not. */
  readonly origins: readonly string[];
}

interface UpgradeOptions extends SessionOptions {
  readonly access: AccessControl;
  readonly clock: Clock;
  readonly log: Log;
}

/** The WebSockets of a listener. */
export interface Upgrades {
  /** Asks every client to close. */
  close(): void;
  /** Ends those that did not. */
  terminate(): void;
}

/** Makes WebSockets of a server's upgrades, and a session of each. */
export function serveUpgrades(server: Server, connections: Connections, options: UpgradeOptions): Upgrades {
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    // Somewhat larger than a frame may be, so that the session can say what was wrong.
    maxPayload: 2 * MAX_FRAME_BYTES,
    skipUTF8Validation: true,
  });
  const memory = { incoming: new MemoryLimit(MAX_BYTES_OF_ALL), outgoing: new MemoryLimit(MAX_BYTES_OF_ALL) };
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const { origin } = request.headers;
    if (isLetIn(options.origins, origin)) {
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        serve(webSocket, request.socket, connections, memory, options);
      });
      return;
    }
    options.log.warn({ origin }, 'refused a browser by its origin');
    // The server keeps a connection open whose other side has ended; this one has nothing more to say.
    socket.once('finish', () => socket.destroy());
    socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n');
  });
  return {
    close: () => {
      for (const client of sockets.clients) client.close(1001);
    },
    terminate: () => {
      for (const client of sockets.clients) client.terminate();
    },
  };
}

function serve(
  socket: WebSocket,
  connection: IncomingMessage['socket'],
  connections: Connections,
  memory: { readonly incoming: MemoryLimit; readonly outgoing: MemoryLimit },
  { access, clock, log, open }: UpgradeOptions,
): void {
  const remote = connection.remoteAddress ?? UNIX_SOCKET;
  let session: ServerSession;
  const port = new SocketPort(socket, connection, clock, memory.outgoing, (reason) => {
    log.warn({ remote }, 'a client stopped reading');
    session.fail(reason);
    socket.terminate();
  });
  socket.on('error', (error) => log.warn({ err: error, remote }, 'socket error'));
  try {
    session = open(port, (token) => {
      const admission = access.admit(token, remote);
      connections.know(connection, 'session', admission.share.join(' / '));
      return admission;
    });
  } catch (error) {
    if (!isPynqLlmError(error)) throw error;
    port.send(encodeFrame({ fatal: error.toWire() }));
    port.close(error);
    return;
  }
  const refuse = (error: PynqLlmError) => {
    session.fail(error);
    // What it still sends until it is gone is left unread.
    socket.pause();
  };
  // A frame is collected before the session sees it: its bytes are counted where they come in.
  let collected = 0;
  const incoming: MemoryUser = {
    bytes: () => collected,
    end: (bytes) => {
      const what = `${bytes} bytes of a frame came, and the frames of all clients are too much at a time.`;
      refuse(new PynqLlmError('PROTOCOL_FRAME_TOO_LARGE', what));
    },
  };
  memory.incoming.add(incoming);
  let stranger = MAX_FRAME_BYTES_BEFORE_HELLO;
  connection.on('data', (data: Buffer) => {
    collected += data.length;
    memory.incoming.check(incoming);
    if (connections.isKnown(connection)) return;
    stranger -= data.length;
    if (stranger >= 0) return;
    const what = `More than ${MAX_FRAME_BYTES_BEFORE_HELLO} bytes came before hello.`;
    refuse(new PynqLlmError('PROTOCOL_FRAME_TOO_LARGE', what));
  });
  socket.on('message', (data) => {
    collected = 0;
    port.heard();
    // With the default binaryType every message is one Buffer.
    if (data instanceof Uint8Array) session.receive(data);
  });
  socket.on('close', () => {
    memory.incoming.remove(incoming);
    session.close();
  });
}
