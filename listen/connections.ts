import type { Socket } from 'node:net';
import { PynqLlmError } from '../errors/index.js';
import { type Clock, HELLO_DEADLINE_MS } from '../protocol/index.js';

/**
 * Limits of what listens. Each stands beside the threat that it answers. A client is known once it said hello, or once
 * its request showed that it may be here.
 */

/** A neighbour who opens connections and says nothing: places of those who are not known yet ... */
const MAX_UNKNOWN = 16;
/** ... and how many of them one address has, so that it takes more than one neighbour to keep a client out. */
const MAX_UNKNOWN_OF_ADDRESS = 4;
/** They are taken away after this: a little later than a session without hello ends, which says why. */
const UNKNOWN_MS = HELLO_DEADLINE_MS + 500;

/**
 * A program that sends all its requests at once: connections without a place wait unread while those before them become
 * known or go. Where nothing moved for so many looks, because those before say nothing, they are closed. Looks are counted,
 * not time: a process that was busy itself has let nobody in meanwhile.
 */
const LOOK_MS = 50;
const MOST_LOOKS = 5;
const MAX_WAITING = 256;
/** One address that opens more and more, so that those of others find no room to wait. */
const MAX_WAITING_OF_ADDRESS = 128;

/** Known clients that open more and more: a session costs memory for frames under way, a request less. */
const MAX_SESSIONS = 64;
const MAX_HTTP = 256;
/** One client, or all behind one tunnel, with so many requests at a time that nobody else could ask. */
const MAX_HTTP_OF_SHARE = 128;

type Kind = 'session' | 'http';

/** What the connections from one address have together; a Unix socket is one address. */
interface Origin {
  connections: number;
  waiting: number;
  unknown: number;
  /** How many of them got a place so far. */
  admitted: number;
}

interface Connection {
  readonly socket: Socket;
  readonly origin: Origin;
  readonly serve: () => void;
  state: 'waiting' | 'unknown' | Kind | 'closed';
  share: string;
  stopTimer: () => void;
}

/** Every connection of a listener from the moment it is accepted, and who has a place. */
export class Connections {
  readonly #clock: Clock;
  readonly #origins = new Map<string, Origin>();
  readonly #all = new Set<Connection>();
  /** In the order of their arrival. */
  readonly #waiting = new Set<Connection>();
  readonly #known = new Set<Connection>();
  /** By the socket; with TLS by its two ends, since what carries the data is another object there. */
  readonly #bySocket = new WeakMap<Socket, Connection>();
  readonly #byPeer = new Map<string, Connection>();
  #unknown = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes an accepted connection. @param serve begins to read from it; called at once, later, or never */
  enter(socket: Socket, serve: () => void): void {
    // Whatever handles a socket takes its own listener away when it hands it over, and an error that nobody listens to
    // ends the process. What becomes of the connection 'close' tells.
    socket.on('error', () => undefined);
    const { remoteAddress = '' } = socket;
    const address = remoteAddress.replace(/^::ffff:/i, '');
    const origin = this.#origins.get(address) ?? { connections: 0, waiting: 0, unknown: 0, admitted: 0 };
    this.#origins.set(address, origin);
    origin.connections++;
    const connection: Connection = {
      socket,
      origin,
      serve,
      state: 'waiting',
      share: '',
      stopTimer: () => undefined,
    };
    const peer = peerOf(socket);
    this.#all.add(connection);
    this.#bySocket.set(socket, connection);
    this.#byPeer.set(peer, connection);
    socket.once('close', () => {
      this.#leave(connection);
      this.#all.delete(connection);
      connection.state = 'closed';
      if (this.#byPeer.get(peer) === connection) this.#byPeer.delete(peer);
      if (--origin.connections === 0) this.#origins.delete(address);
      this.#admitWaiting();
    });
    if (this.#hasPlace(connection)) this.#begin(connection);
    else if (this.#waiting.size >= MAX_WAITING || origin.waiting >= MAX_WAITING_OF_ADDRESS) socket.destroy();
    else this.#wait(connection, MOST_LOOKS);
  }

  isKnown(socket: Socket): boolean {
    const connection = this.#find(socket);
    return connection !== undefined && this.#known.has(connection);
  }

  /**
   * The client has shown that it may be here: it has one of the places of those who are known from now on.
   * @param share who uses the place
   * @throws PynqLlmError AGENT_TOO_MANY_SESSIONS where there is none
   */
  know(socket: Socket, kind: Kind, share: string): void {
    const connection = this.#find(socket);
    // One that was lost meanwhile needs no place.
    if (connection === undefined || connection.state === kind || connection.state === 'closed') return;
    const same = [...this.#known].filter(({ state }) => state === kind);
    if (kind === 'session') requireBelow(MAX_SESSIONS, same.length, 'clients are connected');
    else {
      const own = same.filter((one) => one.share === share);
      requireBelow(MAX_HTTP_OF_SHARE, own.length, 'connections of this client have requests');
      requireBelow(MAX_HTTP, same.length, 'connections have requests');
    }
    this.#leave(connection);
    connection.state = kind;
    connection.share = share;
    this.#known.add(connection);
    this.#admitWaiting();
  }

  destroyAll(): void {
    for (const { socket } of this.#all) socket.destroy();
  }

  #find(socket: Socket): Connection | undefined {
    return this.#bySocket.get(socket) ?? this.#byPeer.get(peerOf(socket));
  }

  #hasPlace({ origin, socket }: Connection): boolean {
    if (this.#unknown >= MAX_UNKNOWN) return false;
    // Who reaches a Unix socket has no address: the operating system says who that may be.
    return socket.remoteAddress === undefined || origin.unknown < MAX_UNKNOWN_OF_ADDRESS;
  }

  #begin(connection: Connection): void {
    this.#leave(connection);
    connection.state = 'unknown';
    this.#unknown++;
    connection.origin.unknown++;
    connection.origin.admitted++;
    connection.stopTimer = this.#clock.after(UNKNOWN_MS, () => connection.socket.destroy());
    connection.serve();
  }

  #wait(connection: Connection, looks: number): void {
    const { origin, socket } = connection;
    if (!this.#waiting.has(connection)) origin.waiting++;
    this.#waiting.add(connection);
    const { admitted } = origin;
    connection.stopTimer = this.#clock.after(LOOK_MS, () => {
      if (origin.admitted > admitted) this.#wait(connection, MOST_LOOKS);
      else if (looks > 1) this.#wait(connection, looks - 1);
      else socket.destroy();
    });
  }

  /** The connection's place, or its place among those who wait, is free. */
  #leave(connection: Connection): void {
    connection.stopTimer();
    if (this.#waiting.delete(connection)) connection.origin.waiting--;
    this.#known.delete(connection);
    if (connection.state !== 'unknown') return;
    this.#unknown--;
    connection.origin.unknown--;
  }

  #admitWaiting(): void {
    for (const connection of this.#waiting) if (this.#hasPlace(connection)) this.#begin(connection);
  }
}

function requireBelow(most: number, count: number, what: string): void {
  if (count >= most) throw new PynqLlmError('AGENT_TOO_MANY_SESSIONS', `${count} ${what}.`);
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
