import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CHUNK_BYTES, modelDigest, sha256 } from '../../protocol/index.js';
import { Connection } from '../../sdk/connection.js';
import { webSocket } from '../../sdk/transports/web-socket.js';
import { dial } from '../system/hostile/support/dial.js';
import { startVictim, TOKENS, type VictimKind } from '../system/hostile/support/victim.js';

/** A request's body is there within 30 s; the rest is for slow machines. */
const BODY_MS = 30_000 + 3_000;
/** Nobody is closed earlier than this. */
const SURELY_OPEN_MS = 2_000;
const UNFINISHED =
  'POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n' +
  `authorization: Bearer ${TOKENS.infer}\r\ncontent-length: 1000\r\n\r\n{"model":`;

const VICTIMS: readonly (readonly [string, VictimKind])[] = [
  ['an agent', { program: 'agent', over: 'tcp', tokens: true }],
  ['an agent with TLS', { program: 'agent', over: 'tls', tokens: true }],
  ['pynq-llm serve', { program: 'serve', over: 'tcp', tokens: true }],
];

it.concurrent('an agent ends the connection of an upload whose body stops, and keeps what came', async () => {
  await using victim = await startVictim({ program: 'agent', over: 'tcp', tokens: true });
  const bytes = randomBytes(2 * CHUNK_BYTES);
  const chunkDigests = Buffer.concat(
    [0, 1].map((i) => sha256(bytes.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES))),
  );
  const digest = modelDigest(bytes.length, chunkDigests);
  const token = TOKENS.infer;
  const board = await Connection.open(webSocket(victim.process.url), {
    client: 'test',
    token,
    timeoutMs: 20_000,
    reconnectMs: 0,
  });
  const announced = { digest, name: 'stops', bytes: bytes.length, chunkDigests };
  const begun = await board.request('models.uploadBegin', announced);
  if (begun.state === 'complete') throw new Error('random bytes are new');
  const have = async () => [...(await board.request('models.uploadHave', { upload: begun.upload })).have];
  using slow = await dial(victim.place);
  await slow.send(
    `PUT /upload/${begun.upload} HTTP/1.1\r\nhost: agent\r\nauthorization: Bearer ${token}\r\n` +
      `content-length: ${bytes.length}\r\ncontent-range: bytes 0-${bytes.length - 1}/${bytes.length}\r\n\r\n`,
  );
  await slow.send(bytes.subarray(0, CHUNK_BYTES + 7));
  await expect.poll(have).toEqual([1, 0]);
  // A byte now and then is no progress.
  const drip = setInterval(() => void slow.send(bytes.subarray(0, 1)), 500);
  expect(await slow.closed(SURELY_OPEN_MS)).toBe(false);
  expect(await slow.closed(BODY_MS - SURELY_OPEN_MS)).toBe(true);
  clearInterval(drip);
  expect(await have()).toEqual([1, 0]);
  await board.close();
  await victim.isWell();
});

describe.concurrent.each(VICTIMS)('%s', (_, kind) => {
  it('ends the connection of a request with a token that stops in its body in time', async () => {
    await using victim = await startVictim(kind);
    using stranger = await dial(victim.place);
    await stranger.send(UNFINISHED);
    expect(await stranger.closed(SURELY_OPEN_MS)).toBe(false);
    expect(await stranger.closed(BODY_MS - SURELY_OPEN_MS)).toBe(true);
    await victim.isWell();
  });
});
