import { afterEach, expect } from 'vitest';
import { encodeFrame } from '../../../../protocol/index.js';
import { type Dialed, type DialOptions, dial } from './dial.js';
import { upgradeRequest, webSocketFrame, webSocketHeader } from './upgrades.js';
import { inTime, startVictim, type Victim, type VictimKind } from './victim.js';

export const AGENT: VictimKind = { program: 'agent', over: 'tcp', tokens: true };
export const SERVE: VictimKind = { program: 'serve', over: 'tcp', tokens: true };
/** Connections that have not said hello: of one address, of all. */
const PLACES_OF_ADDRESS = 4;
const PLACES = 16;
/** Until then a connection has said hello. */
export const HELLO_MS = 10_000;
/** What is over a limit is closed within this time, long before the others are. */
const SOON_MS = 3_000;
/** What a slow machine may take longer. */
export const SLACK_MS = 4_000;
const MIB = 1_048_576;

const open = new Set<Dialed>();
/** A connection that is closed after the test. */
export async function dialed(victim: Victim, options?: DialOptions): Promise<Dialed> {
  const one = await dial(victim.place, options);
  open.add(one);
  return one;
}
afterEach(() => {
  for (const one of open) one[Symbol.dispose]();
  open.clear();
});

/** Sends half of what leads to a hello, in the ways that there are; each then waits. */
export const SILENT = {
  'say nothing at all': '',
  'send half a request': 'GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ',
  'upgrade and say no hello': upgradeRequest(),
} as const;

/** The title of {@link havePlaces}. */
export const HAVE_PLACES = `have ${PLACES_OF_ADDRESS} connections an address and ${PLACES} in all; one over is closed at once, the others in ten seconds, and a client is let in`;

/** Checks how many connections strangers have that send these bytes and no more. */
export async function havePlaces(bytes: string): Promise<void> {
  await using victim = await startVictim(AGENT);
  const begun = performance.now();
  const held: Dialed[] = [];
  const hold = async (from: string) => {
    const one = await dialed(victim, { from });
    await one.send(bytes);
    held.push(one);
  };
  for (let i = 0; i < PLACES_OF_ADDRESS; i++) await hold('127.0.0.2');
  const fifth = await dialed(victim, { from: '127.0.0.2' });
  expect(await fifth.closed(SOON_MS)).toBe(true);
  // Another address has places yet.
  await victim.isWell();
  for (const from of ['127.0.0.3', '127.0.0.4', '127.0.0.5'])
    for (let i = 0; i < PLACES_OF_ADDRESS; i++) await hold(from);
  const seventeenth = await dialed(victim, { from: '127.0.0.6' });
  expect(await seventeenth.closed(SOON_MS)).toBe(true);
  if (performance.now() - begun < HELLO_MS / 2) expect(held.filter((one) => one.isClosed())).toEqual([]);
  const closed = await Promise.all(held.map((one) => one.closed(HELLO_MS + SLACK_MS)));
  expect(closed).not.toContain(false);
  await victim.isWell();
}

/** What a stranger sends without end, after an upgrade or as an HTTP request. */
export interface Endless {
  readonly first: string | Buffer;
  readonly piece: string | Buffer;
}

const post = (path: string, headers: string) =>
  `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n${headers}\r\n\r\n`;
const upgraded = (bytes: Buffer) => Buffer.concat([Buffer.from(upgradeRequest()), bytes]);
export const WEBSOCKET = {
  'a frame of 16 MiB': { first: upgraded(webSocketHeader(16 * MIB)), piece: Buffer.alloc(65_536) },
  'a message in pieces': {
    first: upgraded(webSocketFrame(Buffer.alloc(1_000), 2, 0x02)),
    piece: Buffer.concat(Array.from({ length: 64 }, () => webSocketFrame(Buffer.alloc(1_000), 0, 0x00))),
  },
  pings: {
    first: upgradeRequest(),
    piece: Buffer.concat(Array.from({ length: 512 }, () => webSocketFrame(Buffer.alloc(125), 9))),
  },
  requests: {
    first: upgradeRequest(),
    piece: webSocketFrame(encodeFrame({ id: 0, method: 'board.health', params: { x: 'x'.repeat(60_000) } })),
  },
} satisfies Record<string, Endless>;
export const HTTP = {
  headers: { first: 'GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n', piece: `x-more: ${'y'.repeat(8_000)}\r\n` },
  'a body': { first: post('/v1/completions', `content-length: ${64 * MIB}`), piece: ' '.repeat(65_536) },
  'a body in chunks': {
    first: post('/v1/chat/completions', 'transfer-encoding: chunked'),
    piece: `10000\r\n${' '.repeat(65_536)}\r\n`,
  },
  'a body to nowhere': { first: post('/x', `content-length: ${64 * MIB}`), piece: ' '.repeat(65_536) },
  'chunks with long names': {
    first: post('/v1/completions', 'transfer-encoding: chunked'),
    piece: `1;${'x'.repeat(65_536)}\r\n \r\n`,
  },
  'requests behind each other': {
    first: '',
    piece: 'GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n'.repeat(64),
  },
} satisfies Record<string, Endless>;

/** Checks that a stranger that sends without end is closed before 4 MiB of it are taken, and clients are served on. */
export async function endsEndless(kind: VictimKind, { first, piece }: Endless): Promise<void> {
  await using victim = await startVictim(kind);
  const stranger = await dialed(victim, { from: '127.0.0.2' });
  let taken = 0;
  await stranger.send(first);
  // What a kernel holds for both sides is taken, too.
  const until = performance.now() + HELLO_MS + SLACK_MS;
  while (taken < 16 * MIB && !stranger.isClosed() && performance.now() < until) {
    const sent = await inTime(stranger.send(piece), 'neither taken nor refused', HELLO_MS + SLACK_MS);
    if (!sent) break;
    taken += piece.length;
  }
  expect(taken).toBeLessThan(4 * MIB);
  expect(await stranger.closed(SOON_MS)).toBe(true);
  await victim.isWell();
}
