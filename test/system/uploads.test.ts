import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import {
  CHUNK_BYTES,
  chunkCount,
  formatContentRange,
  MAX_UPLOAD_BODY_BYTES,
  modelDigest,
  type Params,
  sha256,
} from '../../protocol/index.js';
import { Connection } from '../../sdk/connection.js';
import { webSocket } from '../../sdk/transports/web-socket.js';
import { temporaryDirectory, testAgent } from './support/agent.js';

const TOKENS = {
  read: 'who-may-look-and-no-more',
  infer: 'who-may-upload-models',
  other: 'another-who-may-upload',
};
const ORIGIN = 'https://board.example';
const UNKNOWN = '0'.repeat(32);

const store = temporaryDirectory();
let agent: AgentHandle;
let port: number;
let session: Connection;
beforeAll(async () => {
  agent = await testAgent({
    storeDir: store.path,
    origins: [ORIGIN],
    token: [
      { role: 'read', token: TOKENS.read },
      { role: 'infer', token: TOKENS.infer },
      { role: 'infer', token: TOKENS.other, name: 'other' },
    ],
  });
  port = Number(new URL(agent.url).port);
  session = await open();
});
afterAll(async () => {
  await session.close();
  await agent.close();
  store[Symbol.dispose]();
});

function open(token = TOKENS.infer): Promise<Connection> {
  return Connection.open(webSocket(agent.url), { client: 'test', token, timeoutMs: 20_000, reconnectMs: 0 });
}

function announce(bytes: Uint8Array): Params<'models.uploadBegin'> {
  const digests = Array.from({ length: chunkCount(bytes.length) }, (_, i) =>
    sha256(bytes.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES)),
  );
  const chunkDigests = Buffer.concat(digests);
  const digest = modelDigest(bytes.length, chunkDigests);
  return { digest, name: 'x', bytes: bytes.length, chunkDigests };
}

/** An upload that was begun: its id, and which chunks are there. */
async function begin(bytes: Uint8Array, by = session) {
  const begun = await by.request('models.uploadBegin', announce(bytes));
  if (begun.state === 'complete') throw new Error('random bytes are new');
  const id = begun.upload;
  const have = async () => [...(await by.request('models.uploadHave', { upload: id })).have];
  return { id, have, end: () => by.request('models.uploadAbort', { upload: id }) };
}

/** Headers of the bytes from `first` to before `end`. */
function rangeOf(bytes: Uint8Array, first = 0, end = bytes.length, modelBytes = bytes.length) {
  return { 'content-range': formatContentRange({ offset: first, byteLength: end - first, modelBytes }) };
}

interface Answer {
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly wasAskedFor: boolean;
  readonly headers: IncomingMessage['headers'];
}

/** A PUT on a connection of its own; with `expect` its body is sent once it is asked for. */
function put(
  id: string,
  body: Uint8Array,
  headers: Readonly<Record<string, string | undefined>>,
  method = 'PUT',
): Promise<Answer> {
  const all = { authorization: `Bearer ${TOKENS.infer}`, 'content-length': `${body.length}`, ...headers };
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  return new Promise((resolve, reject) => {
    let wasAskedFor = false;
    const sent = httpRequest({
      port,
      host: '127.0.0.1',
      path: `/upload/${id}`,
      method,
      headers: given,
      agent: false,
    });
    sent.on('error', reject);
    sent.on('continue', () => {
      wasAskedFor = true;
      sent.end(body);
    });
    sent.on('response', (response) => {
      let text = '';
      response.on('data', (data) => {
        text += data;
      });
      response.on('end', () => {
        const code = text === '' ? undefined : JSON.parse(text).code;
        resolve({ status: response.statusCode, code, wasAskedFor, headers: response.headers });
        sent.destroy();
      });
    });
    if (given.expect === undefined) sent.end(body);
  });
}

/** A connection whose bytes the test writes. */
async function raw(): Promise<{ readonly socket: Socket; heard(): string; readonly closed: Promise<void> }> {
  const socket = connectTcp(port, '127.0.0.1');
  let text = '';
  socket.on('data', (data) => {
    text += data.toString('latin1');
  });
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await once(socket, 'connect');
  return { socket, heard: () => text, closed };
}

function head(id: string, headers: Readonly<Record<string, string | number>>): string {
  const all = { host: 'agent', authorization: `Bearer ${TOKENS.infer}`, ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `PUT /upload/${id} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

describe('bytes of an upload', () => {
  it('are kept chunk by chunk, from several requests in any order, and become the model', async () => {
    const bytes = randomBytes(3 * CHUNK_BYTES + 17);
    const { id, have } = await begin(bytes);
    const parts = [
      [2, 4],
      [0, 1],
      [0, 2],
    ].map(([first, end]) => [first * CHUNK_BYTES, Math.min(end * CHUNK_BYTES, bytes.length)]);
    for (const [first, end] of parts) {
      const answer = await put(id, bytes.subarray(first, end), rangeOf(bytes, first, end));
      expect(answer).toMatchObject({ status: 204, code: undefined });
    }
    expect(await have()).toEqual([1, 1, 1, 1]);
    const { digest } = await session.request('models.uploadCommit', { upload: id });
    expect(readFileSync(join(store.path, 'models', `${digest}.gguf`)).equals(bytes)).toBe(true);
    expect(await put(id, bytes, rangeOf(bytes))).toMatchObject({ status: 404, code: 'AGENT_UPLOAD_UNKNOWN' });
  });

  it('are asked for only from who may send them', async () => {
    const bytes = randomBytes(CHUNK_BYTES);
    const { id, have, end } = await begin(bytes);
    const ask = { ...rangeOf(bytes), expect: '100-continue' };
    const refused: readonly (readonly [string, object, number, string])[] = [
      [id, { authorization: undefined }, 401, 'AGENT_UNAUTHORISED'],
      [id, { authorization: 'Bearer not-the-token-at-all' }, 401, 'AGENT_UNAUTHORISED'],
      [id, { authorization: `Basic ${TOKENS.infer}` }, 401, 'AGENT_UNAUTHORISED'],
      [id, { authorization: `Bearer ${TOKENS.read}` }, 403, 'PROTOCOL_ROLE_REQUIRED'],
      [id, { authorization: `Bearer ${TOKENS.other}` }, 404, 'AGENT_UPLOAD_UNKNOWN'],
      [UNKNOWN, {}, 404, 'AGENT_UPLOAD_UNKNOWN'],
      ['', {}, 404, 'AGENT_UPLOAD_UNKNOWN'],
      ['../models', {}, 404, 'AGENT_UPLOAD_UNKNOWN'],
      [id, { origin: 'https://evil.example' }, 403, 'AGENT_ORIGIN_REFUSED'],
      [id, { 'content-range': undefined }, 416, 'AGENT_UPLOAD_RANGE'],
    ];
    for (const [place, headers, status, code] of refused)
      expect(await put(place, bytes, { ...ask, ...headers }), code).toMatchObject({
        status,
        code,
        wasAskedFor: false,
      });
    expect(await have()).toEqual([0]);
    expect(await put(id, bytes, ask)).toMatchObject({ status: 204, wasAskedFor: true });
    await end();
  });

  it('are refused where they are not a range of whole chunks, of the length that is said', async () => {
    const bytes = randomBytes(3 * CHUNK_BYTES);
    const { id, have, end } = await begin(bytes);
    const all = bytes.length;
    const wrong: readonly (readonly [Uint8Array, object])[] = [
      [bytes.subarray(1), rangeOf(bytes, 1)],
      [bytes.subarray(0, 5), rangeOf(bytes, 0, 5)],
      [bytes, rangeOf(bytes, 0, all, all + 1)],
      [bytes, { 'content-range': `bytes 0-${all}/${all}` }],
      [bytes, { 'content-range': 'bytes */5' }],
      [bytes, { 'content-range': `bytes 2-1/${all}` }],
      [bytes, { 'content-range': `bytes 0-${all - 1}/*` }],
      [bytes, { 'content-range': `bytes=0-${all - 1}/${all}` }],
      [bytes.subarray(1), rangeOf(bytes)],
      [bytes, { ...rangeOf(bytes), 'content-length': undefined, 'transfer-encoding': 'chunked' }],
      [
        new Uint8Array(MAX_UPLOAD_BODY_BYTES + CHUNK_BYTES),
        rangeOf(bytes, 0, MAX_UPLOAD_BODY_BYTES + CHUNK_BYTES, 2 ** 30),
      ],
    ];
    for (const [body, headers] of wrong) {
      const ask = { ...headers, expect: '100-continue' };
      expect(await put(id, body, ask)).toMatchObject({
        status: 416,
        code: 'AGENT_UPLOAD_RANGE',
        wasAskedFor: false,
      });
    }
    expect(await have()).toEqual([0, 0, 0]);
    await end();
  });

  it('are not kept where they are damaged, and those around them are', async () => {
    const bytes = randomBytes(4 * CHUNK_BYTES);
    const { id, have, end } = await begin(bytes);
    const damaged = Buffer.from(bytes);
    damaged[CHUNK_BYTES + 5] ^= 1;
    // The answer is read once all is sent, whoever does not ask before.
    expect(await put(id, damaged, rangeOf(bytes))).toMatchObject({
      status: 422,
      code: 'AGENT_UPLOAD_MISMATCH',
    });
    expect(await have()).toEqual([1, 0, 0, 0]);
    expect(await put(id, bytes, rangeOf(bytes))).toMatchObject({ status: 204 });
    // What is there is not read again for its digest, and not overwritten.
    expect(await put(id, damaged, rangeOf(bytes))).toMatchObject({ status: 204 });
    const { digest } = await session.request('models.uploadCommit', { upload: id });
    expect(readFileSync(join(store.path, 'models', `${digest}.gguf`)).equals(bytes)).toBe(true);
    await end().catch(() => undefined);
  });

  it('are kept up to where the connection was cut', async () => {
    const bytes = randomBytes(3 * CHUNK_BYTES);
    const { id, have, end } = await begin(bytes);
    const { socket, closed } = await raw();
    socket.write(head(id, { 'content-length': bytes.length, ...rangeOf(bytes) }));
    socket.write(bytes.subarray(0, 1.5 * CHUNK_BYTES));
    await expect.poll(have).toEqual([1, 0, 0]);
    socket.resetAndDestroy();
    await closed;
    const rest = bytes.subarray(CHUNK_BYTES);
    expect(await put(id, rest, rangeOf(bytes, CHUNK_BYTES))).toMatchObject({ status: 204 });
    expect(await have()).toEqual([1, 1, 1]);
    await end();
  });

  it('of a later request end an earlier one that is still under way', async () => {
    const bytes = randomBytes(2 * CHUNK_BYTES);
    const { id, have, end } = await begin(bytes);
    const first = await raw();
    first.socket.write(head(id, { 'content-length': bytes.length, ...rangeOf(bytes) }));
    first.socket.write(bytes.subarray(0, 1.5 * CHUNK_BYTES));
    await expect.poll(have).toEqual([1, 0]);
    expect(await put(id, bytes, rangeOf(bytes))).toMatchObject({ status: 204 });
    await first.closed;
    expect(await have()).toEqual([1, 1]);
    await end();
  });

  it('end with their session', async () => {
    const bytes = randomBytes(2 * CHUNK_BYTES);
    const other = await open();
    const { id, have } = await begin(bytes, other);
    const { socket, closed } = await raw();
    socket.write(head(id, { 'content-length': bytes.length, ...rangeOf(bytes) }));
    socket.write(bytes.subarray(0, 1.5 * CHUNK_BYTES));
    await expect.poll(have).toEqual([1, 0]);
    await other.close();
    await closed;
    expect(await put(id, bytes, rangeOf(bytes))).toMatchObject({ status: 404, code: 'AGENT_UPLOAD_UNKNOWN' });
    const again = await begin(bytes);
    expect(await again.have()).toEqual([1, 0]);
    await again.end();
  });

  it('of one client are taken from four requests at a time', async () => {
    const sessions = await Promise.all([open(), open(), open()]);
    const sockets: Socket[] = [];
    let last: { readonly id: string; readonly bytes: Uint8Array } | undefined;
    for (let i = 0; i < 5; i++) {
      const bytes = randomBytes(CHUNK_BYTES);
      const { id } = await begin(bytes, sessions[i >> 2]);
      last = { id, bytes };
      if (i === 4) break;
      const { socket, heard } = await raw();
      sockets.push(socket);
      socket.write(head(id, { 'content-length': bytes.length, ...rangeOf(bytes), expect: '100-continue' }));
      await expect.poll(heard).toContain('100 Continue');
    }
    const send = () => put(last!.id, last!.bytes, rangeOf(last!.bytes));
    expect(await send()).toMatchObject({ status: 503, code: 'AGENT_UPLOADS_BUSY' });
    sockets[0].destroy();
    await expect.poll(async () => (await send()).status).toBe(204);
    for (const socket of sockets) socket.destroy();
    await Promise.all(sessions.map((one) => one.close()));
  });

  it('cannot carry a second request past the first', async () => {
    const bytes = randomBytes(CHUNK_BYTES);
    const { id, have, end } = await begin(bytes);
    const chunk = { 'content-length': bytes.length, ...rangeOf(bytes) };
    const smuggled: readonly (readonly [string, RegExp])[] = [
      // Which of the two lengths counts is what a proxy and a server may see differently (RFC 9112, 6.3).
      [head(id, { ...chunk, 'transfer-encoding': 'chunked' }), /^HTTP\/1\.1 400/],
      [head(id, { ...chunk, 'Content-Length': 5 }), /^HTTP\/1\.1 400/],
      [
        head(id, { ...rangeOf(bytes), 'content-length': `${bytes.length}, ${bytes.length}` }),
        /^HTTP\/1\.1 400/,
      ],
      [head(id, { ...rangeOf(bytes), 'content-length': '-1' }), /^HTTP\/1\.1 400/],
    ];
    for (const [text, answer] of smuggled) {
      const { socket, heard, closed } = await raw();
      socket.write(text);
      await closed;
      expect(heard()).toMatch(answer);
    }
    expect(await have()).toEqual([0]);
    // A body longer than it said, and two requests at once: what follows is no part of the first, and closes the connection.
    const follows = [Buffer.from('more bytes than that\r\n\r\n'), Buffer.from(head(id, chunk))];
    for (const more of follows) {
      const { socket, heard, closed } = await raw();
      socket.write(Buffer.concat([Buffer.from(head(id, chunk)), bytes, more]));
      await closed;
      expect(heard().match(/HTTP\/1\.1 204/g)?.length ?? 0).toBeLessThanOrEqual(1);
    }
    await end();
  });

  it('are taken from web pages of listed origins', async () => {
    const bytes = randomBytes(100);
    const { id, end } = await begin(bytes);
    const preflight = { origin: ORIGIN, 'access-control-request-method': 'PUT', authorization: undefined };
    const asked = await put(id, new Uint8Array(), preflight, 'OPTIONS');
    expect(asked).toMatchObject({
      status: 204,
      headers: { 'access-control-allow-origin': ORIGIN, 'access-control-allow-methods': 'PUT' },
    });
    const evil = await put(id, new Uint8Array(), { ...preflight, origin: 'https://evil.example' }, 'OPTIONS');
    expect(evil.status).toBe(405);
    expect(evil.headers).not.toHaveProperty('access-control-allow-origin');
    const sent = await put(id, bytes, { ...rangeOf(bytes), origin: ORIGIN });
    expect(sent).toMatchObject({ status: 204, headers: { 'access-control-allow-origin': ORIGIN } });
    expect((await put(id, bytes, rangeOf(bytes), 'POST')).status).toBe(405);
    await end();
  });
});
