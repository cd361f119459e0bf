import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ApiError } from '../../../http-api/api-error.js';
import { BodyTurns } from '../../../http-api/body-turns.js';
import { MAX_BODY_BYTES, readBody, SMALL_BODY_BYTES } from '../../../http-api/read-body.js';
import { TestClock } from '../protocol/test-clock.js';

/** A server that answers what it read, or the code of the refusal, and says in what order it did. */
async function serve() {
  const clock = new TestClock();
  const turns = new BodyTurns(clock);
  const outcomes: string[] = [];
  const server = createServer(async (incoming, outgoing) => {
    let outcome: string;
    try {
      const value = await readBody(
        { incoming, outgoing },
        incoming.headers['x-client']?.toString() ?? '',
        turns,
      );
      outcome = `${incoming.url} ${typeof value === 'string' ? value.length : JSON.stringify(value)}`;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      outcome = `${incoming.url} ${error.status} ${error.code}`;
    }
    outcomes.push(outcome);
    outgoing.end(outcome);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sockets: Socket[] = [];
  return {
    clock,
    outcomes,
    url: `http://127.0.0.1:${port}`,
    /** A connection that sends the head of a request. */
    begin: (path: string, ...headers: string[]) => {
      const socket = connect(port, '127.0.0.1');
      sockets.push(socket);
      socket.on('error', () => {});
      socket.write(`${[`POST ${path} HTTP/1.1`, 'host: localhost', ...headers].join('\r\n')}\r\n\r\n`);
      return socket;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

let server: Awaited<ReturnType<typeof serve>>;
beforeEach(async () => {
  server = await serve();
});
afterEach(() => server[Symbol.asyncDispose]());

async function post(
  body: string | Uint8Array<ArrayBuffer> | ReadableStream,
  headers: Record<string, string> = {},
): Promise<string> {
  const response = await fetch(`${server.url}/`, {
    method: 'POST',
    body,
    headers,
    duplex: 'half',
  } as RequestInit);
  return response.text();
}

/** A body in chunks of unknown number. */
const inPieces = (...pieces: Uint8Array[]) =>
  new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
const utf8 = (text: string) => new Uint8Array(Buffer.from(text));

it.each([
  ['a value', '{"a":[1,"é"]}', {}, '/ {"a":[1,"é"]}'],
  ['a byte order mark before it', utf8('\ufeff{"a":1}'), {}, '/ {"a":1}'],
  ['the name of UTF-8', '{}', { 'content-type': 'application/json; charset=UTF-8' }, '/ {}'],
  ['another charset', '{}', { 'content-type': 'application/json; charset=utf-16' }, '/ 415 unsupported_body'],
  ['a packed body', '{}', { 'content-encoding': 'gzip' }, '/ 415 unsupported_body'],
  ['bytes that are not UTF-8', new Uint8Array([0x22, 0xff, 0x22]), {}, '/ 400 invalid_encoding'],
  ['half of a character', new Uint8Array([0x22, 0xc3]), {}, '/ 400 invalid_encoding'],
  ['nothing', '', {}, '/ 400 invalid_json'],
  ['a mark alone', utf8('\ufeff'), {}, '/ 400 invalid_json'],
  ['a broken text', '{"a":', {}, '/ 400 invalid_json'],
  ['the largest text', `"${'x'.repeat(MAX_BODY_BYTES - 2)}"`, {}, `/ ${MAX_BODY_BYTES - 2}`],
  ['a text larger than that', `"${'x'.repeat(MAX_BODY_BYTES - 1)}"`, {}, '/ 413 request_too_large'],
  ['a million empty objects', `[${'{},'.repeat(1_000_000)}{}]`, {}, '/ 400 request_too_complex'],
  ['a million levels', '['.repeat(1_000_000), {}, '/ 400 request_too_complex'],
] as const)('of a body with %s the outcome is plain', async (_, body, headers, outcome) => {
  expect(await post(body, headers)).toBe(outcome);
  // The same without a length.
  expect(await post(inPieces(typeof body === 'string' ? utf8(body) : body), headers)).toBe(outcome);
});

it('a body in pieces of a byte is put together', async () => {
  const bytes = utf8(JSON.stringify({ text: 'é"\\\u2028'.repeat(500) }));
  const text = await post(inPieces(...Array.from(bytes, (byte) => new Uint8Array([byte]))));
  expect(text).toBe(`/ ${Buffer.from(bytes)}`);
});

it('a large body waits while another is read, small ones do not, and who goes away makes room', async () => {
  const length = 2 * SMALL_BODY_BYTES;
  const rest = `${'x'.repeat(length - 2)}"`;
  const first = server.begin('/first', `content-length: ${length}`);
  first.write('"');
  await vi.waitFor(async () => expect(await post('1')).toBe('/ 1'));
  const gone = server.begin('/gone', `content-length: ${length}`);
  gone.write('"');
  const second = server.begin('/second', `content-length: ${length}`);
  second.write(`"${rest}`);
  const chunked = server.begin('/chunked', 'transfer-encoding: chunked');
  chunked.write(`${(length).toString(16)}\r\n"${rest}\r\n0\r\n\r\n`);
  expect(await post('2')).toBe('/ 2');
  expect(server.outcomes).toEqual(['/ 1', '/ 2']);
  gone.destroy();
  first.write(rest);
  await vi.waitFor(() => expect(server.outcomes).toHaveLength(6));
  expect(server.outcomes[2]).toBe(`/first ${length - 2}`);
  expect(server.outcomes.slice(3).toSorted()).toEqual([
    `/chunked ${length - 2}`,
    '/gone 400 request_incomplete',
    `/second ${length - 2}`,
  ]);
});

it('who sends a byte a second loses its place to the next, and is told so', async () => {
  const length = 2 * SMALL_BODY_BYTES;
  const slow = server.begin('/slow', `content-length: ${length}`, 'x-client: slow');
  slow.write('"');
  await post('1');
  const next = server.begin('/next', `content-length: ${length}`, 'x-client: next');
  next.write(`"${'x'.repeat(length - 2)}"`);
  await post('2');
  server.clock.advance(6_000);
  await vi.waitFor(() => expect(server.outcomes).toHaveLength(4));
  expect(server.outcomes.slice(2).toSorted()).toEqual([`/next ${length - 2}`, '/slow 408 request_too_slow']);
});

it('a body that ends early because its client is gone is no body', async () => {
  const socket = server.begin('/', 'content-length: 100');
  socket.end('{}');
  await vi.waitFor(() => expect(server.outcomes).toEqual(['/ 400 request_incomplete']));
});
