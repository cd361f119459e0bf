import { Agent, type IncomingMessage } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import { type ClientOptions, WebSocket } from 'ws';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { Heartbeat, MAX_FRAME_BYTES, systemClock } from '../../protocol/index.js';
import { PinnedAgent } from './pinned-tls.js';
import { putUpload, type UploadPlace } from './put-upload.js';
import type { OpenTransport, TransportEvents } from './transport.js';

const CLOSE_WAIT_MS = 1_000;
/** Up to here a copy costs less than a second buffer. */
const SMALL_FRAME_BYTES = 4_096;

/**
 * A WebSocket to an agent.
 * @param url `ws://`, `wss://`, or `ws+unix:PATH:/`
 * @param trust of `wss:`, where the system does not know the agent's certificate: the certificate that it was signed
 *   with, PEM, or its own fingerprint as `parseFingerprint` gives it
 */
export function webSocket(
  url: string,
  trust: { readonly ca?: string | undefined; readonly fingerprint?: string | undefined } = {},
): OpenTransport {
  const { ca, fingerprint } = trust;
  const unix = /^ws\+unix:(.*):\/$/.exec(url)?.[1];
  const place = () => {
    if (unix !== undefined) return placeOf('http://agent/', url, new Agent(KEEP_ALIVE), { socketPath: unix });
    const http = url.replace(/^ws/, 'http');
    if (fingerprint !== undefined)
      return placeOf(http, url, new PinnedAgent(fingerprint, undefined, KEEP_ALIVE));
    return placeOf(
      http,
      url,
      http.startsWith('https:') ? new TlsAgent({ ...KEEP_ALIVE, ca }) : new Agent(KEEP_ALIVE),
    );
  };
  return open(url, url, place, (signal) => ({
    ...(ca === undefined ? {} : { ca }),
    ...(fingerprint === undefined ? {} : { agent: new PinnedAgent(fingerprint, signal) }),
  }));
}

/** Uploads come one request after the other. */
const KEEP_ALIVE = { keepAlive: true, maxFreeSockets: 1 };

function placeOf(
  url: string,
  name: string,
  agent: Agent,
  how: { readonly socketPath?: string } = {},
): UploadPlace & { readonly agent: Agent } {
  return { url: new URL(url), name, agent, how: { ...how, agent } };
}

/**
 * A WebSocket to an agent at the other end of a stream.
 * @param openStream opens one, for the WebSocket and for each request beside it
 * @param name what error messages call the agent
 */
export function webSocketOver(openStream: () => Promise<Duplex>, name: string): OpenTransport {
  const agent = new StreamAgent(openStream);
  return open(
    name,
    'ws://agent/',
    () => placeOf('http://agent/', name, agent),
    () => ({ agent }),
  );
}

/** Gives Node's HTTP client streams as its connections. */
class StreamAgent extends Agent {
  readonly #openStream: () => Promise<Duplex>;

  constructor(openStream: () => Promise<Duplex>) {
    super();
    this.#openStream = openStream;
  }

  override createConnection(_: object, callback: (error: Error | null, stream: Duplex) => void): undefined {
    this.#openStream().then(
      (stream) => callback(null, stream),
      // There is no stream then, and nobody looks at it.
      (error) => callback(error, undefined as unknown as Duplex),
    );
  }
}

/** @param name what error messages call the agent @param address where the WebSocket goes @param place where uploads go beside it */
function open(
  name: string,
  address: string,
  place: () => UploadPlace & { readonly agent: Agent },
  options: (signal: AbortSignal) => ClientOptions,
): OpenTransport {
  const connect: OpenTransport = (events, signal) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const uploads = place();
      let maskByte = 0;
      const socket = new WebSocket(address, {
        perMessageDeflate: false,
        maxPayload: MAX_FRAME_BYTES,
        skipUTF8Validation: true,
        // Masks keep hostile web pages from forging HTTP requests in the eyes of old proxies (RFC 6455, 10.3). This
        // client is no web page, and a zero mask spares both sides a pass over every byte. With any other mask ws
        // copies the frame behind its header: one buffer to write costs a small frame less than two.
        generateMask: (mask) => mask.fill(maskByte),
        ...options(signal),
      });
      const onAbort = () => socket.terminate();
      signal.addEventListener('abort', onAbort, { once: true });
      const fail = (cause: Error) => {
        signal.removeEventListener('abort', onAbort);
        // A wrong fingerprint is not a matter of reaching the agent.
        if (isPynqLlmError(cause)) return reject(cause);
        reject(
          signal.aborted
            ? signal.reason
            : new PynqLlmError('SDK_CONNECT_FAILED', `${name} could not be reached: ${cause.message}.`, {
                cause,
                context: { url: name },
              }),
        );
      };
      socket.once('error', fail);
      let connection: IncomingMessage['socket'] | undefined;
      socket.once('upgrade', (response) => {
        connection = response.socket;
      });
      socket.once('open', () => {
        signal.removeEventListener('abort', onAbort);
        socket.off('error', fail);
        const send = (frame: Uint8Array) => {
          maskByte = frame.byteLength <= SMALL_FRAME_BYTES ? 1 : 0;
          socket.send(frame);
        };
        // The stream of a tunnel does not count; its bytes are seen when a frame is complete.
        const carried = carry(socket, send, name, events, () => connection?.bytesRead ?? 0);
        resolve({
          ...carried,
          sendUpload: (...upload) => putUpload(uploads, ...upload),
          close: async () => {
            uploads.agent.destroy();
            await carried.close();
          },
        });
      });
    });
  return Object.assign(connect, { place: name });
}

function carry(
  socket: WebSocket,
  send: (frame: Uint8Array) => void,
  url: string,
  events: TransportEvents,
  received: () => number,
) {
  let cause: Error | undefined;
  let closing = false;
  const heartbeat = new Heartbeat(systemClock, {
    beat: () => socket.ping(),
    onSilence: (silentMs) => {
      cause = new Error(`the agent was silent for ${Math.round(silentMs / 1000)} s`);
      socket.terminate();
    },
    received,
  });
  socket.on('message', (data) => {
    heartbeat.heard();
    // With the default binaryType every message is one Buffer.
    if (data instanceof Uint8Array) events.onFrame(data);
  });
  socket.on('ping', () => heartbeat.heard());
  socket.on('pong', () => heartbeat.heard());
  socket.on('error', (error) => {
    cause = error;
  });
  socket.on('close', (code, reason) => {
    heartbeat.stop();
    if (closing) return;
    const why = cause?.message ?? (reason.length > 0 ? reason.toString() : `closed with code ${code}`);
    events.onClose(
      new PynqLlmError('SDK_CONNECTION_LOST', `The connection to ${url} broke: ${why}.`, {
        cause,
        context: { url, closeCode: code },
      }),
    );
  });
  return {
    send: (frame: Uint8Array) => {
      if (socket.readyState === WebSocket.OPEN) send(frame);
    },
    close: () =>
      new Promise<void>((resolve) => {
        closing = true;
        const kill = setTimeout(() => socket.terminate(), CLOSE_WAIT_MS);
        socket.once('close', () => {
          clearTimeout(kill);
          resolve();
        });
        if (socket.readyState === WebSocket.CLOSED) {
          clearTimeout(kill);
          resolve();
        } else socket.close();
      }),
  };
}
