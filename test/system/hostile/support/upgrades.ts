import { encodeFrame, PROTOCOL_VERSION } from '../../../../protocol/index.js';
import type { Dialed } from './dial.js';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** An upgrade as a client makes it; a header that is undefined is left out. */
export function upgradeRequest(
  changes: Readonly<Record<string, string | undefined>> = {},
  line = 'GET / HTTP/1.1',
): string {
  const headers = {
    host: '127.0.0.1',
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': KEY,
    ...changes,
  };
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return `${[line, ...lines].join('\r\n')}\r\n\r\n`;
}

/** A whole message in a WebSocket frame, as clients have to send it: masked, with a mask of zeros. */
export function webSocketFrame(payload: Uint8Array, opcode = 2, firstByte = 0x80 | opcode): Buffer {
  return Buffer.concat([webSocketHeader(payload.length, firstByte), payload]);
}

/** The beginning of a frame that announces so many bytes. */
export function webSocketHeader(length: number, firstByte = 0x82): Buffer {
  const mask = Buffer.alloc(4);
  if (length < 126) return Buffer.concat([Buffer.from([firstByte, 0x80 | length]), mask]);
  if (length < 65_536) {
    const head = Buffer.from([firstByte, 0x80 | 126, 0, 0]);
    head.writeUInt16BE(length, 2);
    return Buffer.concat([head, mask]);
  }
  const head = Buffer.from([firstByte, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, mask]);
}

/** The first frame of a client. */
export function hello(params: Readonly<Record<string, unknown>> = {}): Buffer {
  const all = { protocol: PROTOCOL_VERSION, client: 'stranger', ...params };
  return webSocketFrame(encodeFrame({ id: 0, method: 'hello', params: all }));
}

/** What strangers send that leads to no session; agents refuse each at another place. */
export const REFUSED: Readonly<Record<string, string | Uint8Array>> = {
  'an origin that is not listed': upgradeRequest({ origin: 'https://evil.example' }),
  'an origin that is not listed, with bytes behind': upgradeRequest({ origin: 'null' }) + 'x'.repeat(2_000),
  'a short key': upgradeRequest({ 'sec-websocket-key': 'c2hvcnQ=' }),
  'no key': upgradeRequest({ 'sec-websocket-key': undefined }),
  'an old version': upgradeRequest({ 'sec-websocket-version': '7' }),
  'no version': upgradeRequest({ 'sec-websocket-version': undefined }),
  'a malformed subprotocol': upgradeRequest({ 'sec-websocket-protocol': ',;,' }),
  'an upgrade to h2c': upgradeRequest({ upgrade: 'h2c', 'http2-settings': 'AAMAAABkAARAAAAAAAIAAAAA' }),
  'an upgrade to nothing': upgradeRequest({ upgrade: ',' }),
  'an upgrade by POST': `${upgradeRequest({ 'content-length': '10000' }, 'POST / HTTP/1.1')}half of a body`,
  'an unknown path': upgradeRequest({}, 'GET /nowhere/at/all?x=%00 HTTP/1.1'),
  'the name of somebody else': upgradeRequest({ host: 'evil.example', origin: 'http://evil.example' }),
  'an upgrade behind a request under way': `GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n${upgradeRequest({ origin: 'https://evil.example' })}`,
  'an expectation': upgradeRequest({ expect: '200-ok' }),
  'a malformed upgrade': upgradeRequest({ 'content-length': 'many' }),
  'a tunnel': 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: 127.0.0.1:22\r\n\r\n',
  'a hello of another version': Buffer.concat([
    Buffer.from(upgradeRequest()),
    hello({ protocol: { major: 99, minor: 0 } }),
  ]),
  'a frame that no client may send': Buffer.concat([
    Buffer.from(upgradeRequest()),
    Buffer.from([0xff, 0x00]),
  ]),
};

/** How strangers leave. */
export const ENDINGS: Readonly<Record<string, (dialed: Dialed) => Promise<void> | void>> = {
  'resets at once': (dialed) => dialed.reset(),
  'resets when it is answered': async (dialed) => {
    await dialed.answered(500);
    dialed.reset();
  },
  closes: async (dialed) => {
    await dialed.answered(500);
    dialed.socket.end();
    await dialed.closed(500);
  },
  'closes its half': async (dialed) => {
    dialed.socket.end();
    await dialed.closed(2_000);
  },
  'is gone before the answer': (dialed) => void dialed.socket.destroy(),
  'leaves the answer unread': async (dialed) => {
    dialed.socket.pause();
    await new Promise((resolve) => setTimeout(resolve, 10));
    dialed.socket.destroy();
  },
};
