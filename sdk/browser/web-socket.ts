import { PynqLlmError } from '../../errors/index.js';
import type { OpenTransport } from '../transports/transport.js';
import { notInBrowsers } from './in-browser.js';

const CLOSE_WAIT_MS = 1_000;

/** In browsers, in the place of ../transports/web-socket.ts: the browser's own WebSocket, which answers pings by itself. */
export function webSocket(url: string): OpenTransport {
  const connect: OpenTransport = (events, signal) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const socket = new WebSocket(url);
      socket.binaryType = 'arraybuffer';
      let isOpen = false;
      let isClosing = false;
      const onAbort = () => {
        socket.close();
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      socket.addEventListener('message', ({ data }) => {
        if (data instanceof ArrayBuffer) events.onFrame(new Uint8Array(data));
      });
      socket.addEventListener('close', ({ code, reason }) => {
        signal.removeEventListener('abort', onAbort);
        // Browsers tell pages nothing else about a connection that was not made.
        const why = reason === '' ? `closed with code ${code}` : reason;
        const context = { url, closeCode: code };
        if (!isOpen)
          reject(new PynqLlmError('SDK_CONNECT_FAILED', `${url} could not be reached: ${why}.`, { context }));
        else if (!isClosing)
          events.onClose(
            new PynqLlmError('SDK_CONNECTION_LOST', `The connection to ${url} broke: ${why}.`, { context }),
          );
      });
      socket.addEventListener('open', () => {
        signal.removeEventListener('abort', onAbort);
        isOpen = true;
        resolve({
          send: (frame) => {
            if (socket.readyState === WebSocket.OPEN) socket.send(frame as Uint8Array<ArrayBuffer>);
          },
          sendUpload: () => Promise.reject(notInBrowsers('Models cannot be uploaded')),
          close: () =>
            new Promise((closed) => {
              isClosing = true;
              if (socket.readyState === WebSocket.CLOSED) return closed();
              // An agent that hangs does not end its side.
              const timer = setTimeout(closed, CLOSE_WAIT_MS);
              socket.addEventListener('close', () => {
                clearTimeout(timer);
                closed();
              });
              socket.close();
            }),
        });
      });
    });
  return Object.assign(connect, { place: url });
}
