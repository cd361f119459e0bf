import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { WebSocketServer } from 'ws';
import type { PynqLlmError } from '../../../errors/index.js';
import { webSocket } from '../../../sdk/transports/web-socket.js';

afterEach(() => void vi.useRealTimers());

/** A connection to a WebSocket server that answers pings or does not; `closed` is why it ended. */
async function connected(autoPong: boolean) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', autoPong });
  await once(server, 'listening');
  let pings = 0;
  const lines: Socket[] = [];
  server.on('connection', (socket, request) => {
    lines.push(request.socket);
    socket.on('ping', () => pings++);
  });
  const closed: PynqLlmError[] = [];
  // The sockets' own time goes on.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const transport = await webSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)(
    { onFrame: () => {}, onClose: (reason) => void closed.push(reason) },
    new AbortController().signal,
  );
  const tenSeconds = async () => {
    const before = pings;
    vi.advanceTimersByTime(10_000);
    // The ping, and the pong where there is one, take real time.
    for (let i = 0; i < 50 && pings === before && closed.length === 0; i++) await turn();
    for (let i = 0; i < 5; i++) await turn();
  };
  const end = async () => {
    vi.useRealTimers();
    await transport.close();
    server.close();
  };
  return { closed, lines, tenSeconds, end, pings: () => pings };
}

const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

describe('a WebSocket to an agent', () => {
  it('is kept while the agent answers pings, though it sends nothing else', async () => {
    const { closed, tenSeconds, end, pings } = await connected(true);
    for (let i = 0; i < 10; i++) await tenSeconds();
    expect(closed).toEqual([]);
    expect(pings()).toBe(10);
    await end();
  });

  it('is kept while a long frame keeps the line from carrying pongs', async () => {
    const { closed, lines, tenSeconds, end } = await connected(false);
    // The head of a binary frame of 65,535 bytes (RFC 6455, 5.2).
    lines[0].write(Uint8Array.of(0x82, 126, 0xff, 0xff));
    for (let i = 0; i < 10; i++) {
      lines[0].write(new Uint8Array(2_000));
      await tenSeconds();
    }
    expect(closed).toEqual([]);
    await end();
  });

  it('is lost when the agent answers three pings in a row not', async () => {
    const { closed, tenSeconds, end } = await connected(false);
    for (let i = 0; i < 3; i++) await tenSeconds();
    expect(closed).toEqual([]);
    await tenSeconds();
    expect(closed).toMatchObject([
      { code: 'SDK_CONNECTION_LOST', what: expect.stringContaining('the agent was silent for 40 s') },
    ]);
    await end();
  });
});

describe('a WebSocket with a pinned certificate', () => {
  it('that is given up leaves no connection behind', async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection');
    const url = `wss://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const giveUp = new AbortController();
    const attempt = webSocket(url, { fingerprint: 'AB' })(
      { onFrame: () => {}, onClose: () => {} },
      giveUp.signal,
    );
    const [socket] = await accepted;
    socket.resume();
    const ended = once(socket, 'close');
    giveUp.abort(new Error('enough'));
    await expect(attempt).rejects.toThrow('enough');
    await ended;
    server.close();
  }, 5_000);
});
