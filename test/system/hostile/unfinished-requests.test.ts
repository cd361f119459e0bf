import { expect, it } from 'vitest';
import { dial } from './support/dial.js';
import { startVictim, TOKENS, type VictimKind } from './support/victim.js';

/** A request's headers are there within 5 s; the rest is for slow machines. Bodies have longer: test/long. */
const HEADERS_MS = 5_000 + 3_000;
/** Nobody is closed earlier than this. */
const SURELY_OPEN_MS = 2_000;

const VICTIMS: readonly (readonly [string, VictimKind])[] = [
  ['an agent', { program: 'agent', over: 'tcp', tokens: true }],
  ['an agent with TLS', { program: 'agent', over: 'tls', tokens: true }],
  ['pynq-llm serve', { program: 'serve', over: 'tcp', tokens: true }],
];

it.concurrent.each(VICTIMS)(
  '%s ends the connection of a request that stops in its headers, and one on which nothing comes, in time',
  async (_, kind) => {
    await using victim = await startVictim(kind);
    const stays = async (bytes: string) => {
      using stranger = await dial(victim.place);
      await stranger.send(bytes);
      expect(await stranger.closed(SURELY_OPEN_MS)).toBe(false);
      expect(await stranger.closed(HEADERS_MS - SURELY_OPEN_MS)).toBe(true);
    };
    await Promise.all(['GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: y\r\n', ''].map(stays));
    await victim.isWell();
  },
);

it.concurrent('a kept connection of a known client on which no further request comes is closed', async () => {
  await using victim = await startVictim({ program: 'agent', over: 'tcp', tokens: true });
  using stranger = await dial(victim.place);
  const head = `GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${TOKENS.read}\r\n\r\n`;
  await stranger.send(head);
  await stranger.answered(5_000);
  expect(await stranger.closed(1_000)).toBe(false);
  expect(await stranger.closed(10_000)).toBe(true);
});
