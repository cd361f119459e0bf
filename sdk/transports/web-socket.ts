import { Agent, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ClientOptions, WebSocket } from 'ws';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { Heartbeat, MAX_FRAME_BYTES, systemClock } from '../../protocol/index.js';
import { PinnedAgent } from './pinned-tls.js';
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
  return open(url, url, (signal) => ({
    ...(ca === undefined ? {} : { ca }),
    ...(fingerprint === undefined ? {} : { agent: new PinnedAgent(fingerprint, signal) }),
  }));
}

/**
 * A WebSocket to an agent at the other end of a stream.
 * @param name what error messages call the agent
 */
export function webSocketOver(stream: Duplex, name: string): OpenTransport {
  return open('ws://agent/', name, () => ({ agent: new StreamAgent(stream) }));
}

/** Gives Node's HTTP client one stream as its connection. */
class StreamAgent extends Agent {
  readonly #stream: Duplex;

  constructor(stream: Duplex) {
    super();
    this.#stream = stream;
  }

  override createConnection(): Duplex {
    return this.#stream;
  }
}

/** @param address where the WebSocket goes @param url what people call that place */
function open(address: string, url: string, options: (signal: AbortSignal) => ClientOptions): OpenTransport {
  return (events, signal) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
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
            : new PynqLlmError('SDK_CONNECT_FAILED', `${url} could not be reached: ${cause.message}.`, {
                cause,
                context: { url },
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
        resolve(carry(socket, send, url, events, () => connection?.bytesRead ?? 0));
      });
    });
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
