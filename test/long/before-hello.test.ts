import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { decodeFrame } from '../../protocol/index.js';
import {
  AGENT,
  dialed,
  type Endless,
  endsEndless,
  HAVE_PLACES,
  HELLO_MS,
  HTTP,
  havePlaces,
  SERVE,
  SILENT,
  SLACK_MS,
  WEBSOCKET,
} from '../system/hostile/support/strangers.js';
import { upgradeRequest } from '../system/hostile/support/upgrades.js';
import { startVictim } from '../system/hostile/support/victim.js';
import { testAgent } from '../system/support/agent.js';

/** What npm test does not try. */
const { 'say nothing at all': _silent, ...silent } = SILENT;
const { 'a frame of 16 MiB': _frame, ...webSocket } = WEBSOCKET;
const { headers: _headers, ...http } = HTTP;

describe.each(Object.entries(silent))('strangers that %s', (_, bytes) => {
  it(HAVE_PLACES, () => havePlaces(bytes));
});

it('a stranger that sends its request a byte at a time is closed within ten seconds, too', async () => {
  await using victim = await startVictim(AGENT);
  const slow = await dialed(victim);
  const request = upgradeRequest({ 'x-filling': 'x'.repeat(200) });
  const until = performance.now() + HELLO_MS + SLACK_MS;
  for (let i = 0; i < request.length && performance.now() < until && !slow.isClosed(); i++) {
    await slow.send(request[i]);
    await delay(200);
  }
  expect(slow.isClosed()).toBe(true);
});

describe.each([
  ['an agent', AGENT, { ...webSocket, ...http }],
  ['pynq-llm serve', SERVE, http],
] as const)('%s', (_, kind, attacks) => {
  it.each(Object.entries<Endless>(attacks))(
    'ends the connection of a stranger that sends %s without end, before it took 4 MiB',
    (_, endless) => endsEndless(kind, endless),
  );
});

it('a client that opens a session and says nothing is told why it ends', async () => {
  await using agent = await testAgent();
  const silent = new WebSocket(agent.url);
  const frames: unknown[] = [];
  silent.on('message', (data) => frames.push(decodeFrame(data as Buffer)));
  const [, reason] = await once(silent, 'close', { signal: AbortSignal.timeout(HELLO_MS + 10_000) });
  expect(String(reason)).toBe('PROTOCOL_HELLO_TIMEOUT');
  expect(frames).toEqual([{ fatal: expect.objectContaining({ code: 'PROTOCOL_HELLO_TIMEOUT' }) }]);
});
