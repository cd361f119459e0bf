import type { Dice } from '../load/workload.js';
import { TOKENS } from '../system/hostile/support/victim.js';
import { cut, mutated } from './mutate.js';

const METHODS = [
  'GET',
  'POST',
  'HEAD',
  'OPTIONS',
  'PUT',
  'DELETE',
  'TRACE',
  'CONNECT',
  'PRI',
  'get',
  'M-SEARCH',
  '',
];
const TARGETS = [
  '/',
  '/health',
  '/metrics',
  '/v1/models',
  '/v1/models/none',
  '/v1/models/%00%ff%2e%2e',
  '/v1/completions',
  '/v1/chat/completions',
  '/v1/embeddings',
  `/upload/${'0'.repeat(32)}`,
  '/upload/',
  '/upload/%00/../../models',
  '//evil.example/',
  '*',
  'http://evil.example/v1/models',
  '/../../etc/passwd',
  '/%',
  '/?x=\u00e4',
  'evil.example:443',
  `/${'a'.repeat(9_000)}`,
];
const HEADERS = [
  'host: evil.example',
  'host:',
  'host: 127.0.0.1:1:2',
  'connection: upgrade',
  'connection: close, keep-alive',
  'upgrade: websocket',
  'upgrade: h2c',
  'origin: https://evil.example',
  'origin: null',
  'content-length: 5',
  'content-length: 5, 6',
  'content-length: -1',
  'content-range: bytes 0-4/5',
  'content-range: bytes 0-1048575/99999999999999999999',
  'content-range: bytes 5-4/-1',
  'content-length: 99999999999999999999',
  'transfer-encoding: chunked',
  'transfer-encoding: chunked, identity',
  'transfer-encoding: gzip, chunked',
  'transfer-encoding : chunked',
  'expect: 100-continue',
  'expect: something',
  'content-type: application/json',
  'content-type: multipart/form-data; boundary=x',
  'content-encoding: gzip',
  'authorization: Bearer',
  'authorization: Basic eDp5',
  `authorization: Bearer ${TOKENS.read}`,
  `authorization: Bearer ${TOKENS.infer}`,
  'range: bytes=0-1,2-3',
  'if-none-match: *',
  'trailer: x',
  'te: trailers',
  `x-long: ${'z'.repeat(17_000)}`,
  ' folded: line',
  'no colon',
  'x: \u0001',
];
const BODIES = [
  '',
  '{',
  'null',
  '[]',
  '{"model":"x"}',
  '{"model":"x","prompt":"Once","max_tokens":1}',
  '{"model":"x","messages":[{"role":"user","content":[{"type":"text"}]}],"stream":true}',
  `{"model":"x","prompt":[${'['.repeat(500)}`,
  `[${'{},'.repeat(2_000)}{}]`,
  '{"__proto__":{"model":"x"},"constructor":1}',
  '\u0000\u0001\ufffe',
  `{"model":"${'m'.repeat(3_000)}"}`,
];
const CHUNKS = [
  '5\r\nhello\r\n0\r\n\r\n',
  'ffffffffff\r\n',
  '5;x="\r\nhello\r\n',
  '-1\r\n',
  '5\r\nhelloworld\r\n0\r\n',
  '0\r\nx: y\r\n\r\n',
];

/** One request or a few behind each other, each somehow wrong. */
export function httpCase(dice: Dice) {
  const requests = Array.from({ length: dice.below(3) + 1 }, () => request(dice));
  const bytes = Buffer.from(requests.join(''), 'latin1');
  return { title: 'http', steps: cut(dice, dice.below(3) === 0 ? mutated(dice, bytes) : bytes) };
}

function request(dice: Dice): string {
  const version = dice.pick(['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/9', '']);
  const end = dice.pick(['\r\n', '\r\n', '\r\n', '\n']);
  const headers = Array.from({ length: dice.below(6) }, () => dice.pick(HEADERS));
  if (dice.below(5) > 0) headers.unshift('host: 127.0.0.1');
  const line = `${dice.pick(METHODS)} ${dice.pick(TARGETS)} ${version}`;
  return [line, ...headers, '', dice.pick(dice.below(2) === 0 ? BODIES : CHUNKS)].join(end);
}
