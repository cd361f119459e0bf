import type { IncomingMessage } from 'node:http';
import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';
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
): Promise<{ status: number | undefined; connection: string | undefined }> {
  const options = {
    agent: false,
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
});
