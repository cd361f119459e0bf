import { Agent, get as httpGet, type IncomingMessage } from 'node:http';
import { get as httpsGet } from 'node:https';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { AccessControl } from '../../access/index.js';
import {
  type Listener,
  type ListenerOptions,
  listen,
  parseListenAddress,
  silentLog,
} from '../../listen/index.js';
import { systemClock } from '../../protocol/index.js';

const TOKEN = 'a-token-of-an-administrator';
const TLS = { keyFile: 'test/fixtures/tls/key.pem', certFile: 'test/fixtures/tls/cert.pem' };

let listener: Listener | undefined;
afterEach(async () => {
  await listener?.close();
  listener = undefined;
});

/** A listener that answers each request once its token was looked at; `wait` holds the answers back. */
async function listening(tls?: ListenerOptions['tls'], wait: Promise<void> = Promise.resolve()) {
  const access = new AccessControl({ infer: TOKEN });
  const address = parseListenAddress('127.0.0.1:0');
  const opened = await listen({ address, access, clock: systemClock, log: silentLog, tls });
  listener = opened;
  opened.serveHttp((request, response) => {
    try {
      opened.admit(request.headers.authorization, request);
    } catch (error) {
      response.writeHead(401).end(String(error));
      return;
    }
    void wait.then(() => response.end('welcome'));
  });
  return opened.url.replace(/^ws/, 'http');
}

/** The answer to a request on a connection of its own. */
function ask(
  url: string,
  token = TOKEN,
  agent: Agent | false = false,
): Promise<{ status: number | undefined; connection: string | undefined }> {
  const options = {
    agent,
    rejectUnauthorized: false,
    headers: { authorization: token, connection: 'keep-alive' },
  };
  return new Promise((resolve, reject) => {
    const take = (response: IncomingMessage) => {
      const { statusCode: status, headers } = response;
      response.resume().on('end', () => resolve({ status, connection: headers.connection }));
    };
    const sent = url.startsWith('https') ? httpsGet(url, options, take) : httpGet(url, options, take);
    sent.on('error', reject);
  });
}

/** What comes back for bytes on a connection of their own, until it is closed. */
function send(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.setTimeout(20_000, () => socket.destroy());
    socket.on('data', (data) => {
      answer += data.toString();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
  });
}

const get = (headers: string) => `GET / HTTP/1.1\r\nhost: agent\r\n${headers}\r\n`;

describe('a listener', () => {
  for (const [name, tls] of [
    ['TCP', undefined],
    ['TLS', TLS],
  ] as const)
    it(`answers a program that sends a hundred requests at once over ${name}`, async () => {
      const url = await listening(tls);
      const answers = await Promise.all(Array.from({ length: 100 }, () => ask(url)));
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(100);
    });

  it('keeps the connections of those who are known, and no others', async () => {
    const url = await listening();
    expect(await ask(url)).toEqual({ status: 200, connection: 'keep-alive' });
    expect(await ask(url, 'a-wrong-token-of-nobody')).toEqual({ status: 401, connection: 'close' });
  });

  it('refuses who has 128 connections with requests one more, and nobody else', async () => {
    let go = () => {};
    const wait = new Promise<void>((resolve) => {
      go = resolve;
    });
    const url = await listening(undefined, wait);
    const many = Array.from({ length: 129 }, () => ask(url));
    expect(await Promise.race(many)).toMatchObject({ status: 401 });
    go();
    const statuses = (await Promise.all(many)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(128);
  });

  it('serves one request of a stranger, however many come with it, and one at a time of who is known', async () => {
    let served = 0;
    const url = await listening();
    listener?.serveHttp((request, response) => {
      served++;
      const { authorization } = request.headers;
      if (authorization !== undefined) listener?.admit(authorization, request);
      setTimeout(() => response.end('welcome'), 20);
    });
    await send(url, get('').repeat(1_000));
    expect(served).toBe(1);
    await send(url, get(`authorization: ${TOKEN}\r\n`).repeat(1_000));
    expect(served).toBe(2);
  });

  it('ends at once although clients went away with requests in a row', async () => {
    const url = await listening();
    await Promise.all(
      Array.from({ length: 4 }, () => send(url, get(`authorization: ${TOKEN}\r\n`).repeat(5))),
    );
    const start = performance.now();
    await listener?.answered(20_000);
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  it('closes the connection of a known client that asks for it', async () => {
    const url = await listening();
    for (const request of [
      get(`connection: close\r\nauthorization: ${TOKEN}\r\n`),
      `GET / HTTP/1.0\r\nauthorization: ${TOKEN}\r\n\r\n`,
    ]) {
      const answer = await send(url, request);
      expect(answer).toContain('welcome');
      expect(answer.toLowerCase()).toContain('connection: close');
    }
    expect((await send(url, get('expect: nothing\r\n'))).toLowerCase()).toContain('connection: close');
  });

  it('goes on serving a client on its connection while others behind its address guess at tokens', async () => {
    const url = await listening();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect(await ask(url, TOKEN, agent)).toMatchObject({ status: 200 });
    for (let i = 0; i < 6; i++) await ask(url, `a-wrong-token-of-nobody-${i}`);
    expect(await ask(url, TOKEN)).toMatchObject({ status: 401 });
    expect(await ask(url, TOKEN, agent)).toMatchObject({ status: 200 });
    agent.destroy();
  });
});
