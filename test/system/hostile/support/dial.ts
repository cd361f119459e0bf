import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';

/** Where a victim listens: a port of loopback or a Unix socket. */
export type Place = { readonly port: number; readonly tls: boolean } | { readonly path: string };

export interface DialOptions {
  /** The address that the connection comes from, one of 127.0.0.0/8; Unix sockets have none. */
  readonly from?: string;
  /** Whether TLS is spoken; as the victim wants it unless given. */
  readonly tls?: boolean;
}

/** A connection without any protocol, as strangers make it. Errors end it and are otherwise ignored. */
export interface Dialed extends Disposable {
  readonly socket: Socket;
  /** All that came, as Latin-1; at most a megabyte of it. */
  readonly heard: () => string;
  readonly isClosed: () => boolean;
  /** Whether the other side ends it in time. */
  closed(ms: number): Promise<boolean>;
  /** Resolves when more than `before` bytes came or it is over, and after `ms` at the latest. */
  answered(ms: number, before?: number): Promise<void>;
  /** Sends; false where the connection ended before all of it was taken. */
  send(bytes: Uint8Array | string): Promise<boolean>;
  /** Ends it as a machine does that was switched off and on again: with RST where there is TCP. */
  reset(): void;
}

const HEARD_BYTES = 1_048_576;
const CONNECT_MS = 5_000;

/** Connects, and shakes hands where there is TLS; a connection that was refused is one that is closed. */
export async function dial(place: Place, options: DialOptions = {}): Promise<Dialed> {
  const raw =
    'path' in place
      ? connect({ path: place.path, allowHalfOpen: true })
      : connect({
          port: place.port,
          host: '127.0.0.1',
          allowHalfOpen: true,
          ...(options.from !== undefined && { localAddress: options.from }),
        });
  raw.on('error', () => {});
  const isTls = options.tls ?? ('tls' in place && place.tls);
  // The certificate is not what is tested.
  const socket = isTls ? connectTls({ socket: streamOver(raw), rejectUnauthorized: false }) : raw;
  socket.on('error', () => {});
  let heard = '';
  let closed = false;
  socket.on('data', (data) => {
    if (heard.length < HEARD_BYTES) heard += data.toString('latin1');
  });
  raw.once('close', () => socket.destroy());
  // The other side's end is enough: this side is half open until it closes by itself.
  const over = new Promise<void>((resolve) => {
    for (const event of ['end', 'close'] as const)
      socket.once(event, () => {
        closed = true;
        resolve();
      });
  });
  await Promise.race([
    once(socket, isTls ? 'secureConnect' : 'connect').catch(() => {}),
    over,
    after(CONNECT_MS),
  ]);
  return {
    socket,
    heard: () => heard,
    isClosed: () => closed,
    closed: async (ms) => {
      await Promise.race([over, after(ms)]);
      return closed;
    },
    answered: async (ms, before = 0) => {
      if (heard.length > before || closed) return;
      const stop = new AbortController();
      const { signal } = stop;
      await Promise.race([once(socket, 'data', { signal }).catch(() => {}), over, after(ms)]);
      stop.abort();
    },
    send: (bytes) =>
      new Promise((resolve) => {
        if (closed || socket.destroyed) return resolve(false);
        void over.then(() => resolve(false));
        socket.write(bytes, (error) => resolve(error === undefined || error === null));
      }),
    reset: () => {
      if ('path' in place) raw.destroy();
      else raw.resetAndDestroy();
    },
    [Symbol.dispose]: () => {
      socket.destroy();
      raw.destroy();
    },
  };
}

/** TLS takes the handle of a socket that it is given, which can be reset no more: it gets a stream instead. */
function streamOver(raw: Socket): Duplex {
  const stream = new Duplex({
    read() {},
    write: (bytes, _, done) => void raw.write(bytes, done),
    final: (done) => void raw.end(done),
    destroy: (error, done) => {
      raw.destroy();
      done(error);
    },
  });
  raw.on('data', (data) => stream.push(data));
  raw.on('end', () => stream.push(null));
  raw.on('close', () => stream.destroy());
  return stream;
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
