import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { BoardClient } from '../../../sdk/index.js';
import { dial } from './support/dial.js';
import {
  AGENT,
  endsEndless,
  HAVE_PLACES,
  HTTP,
  havePlaces,
  SERVE,
  SILENT,
  WEBSOCKET,
} from './support/strangers.js';
import { upgradeRequest } from './support/upgrades.js';
import { startVictim } from './support/victim.js';

// test/long has the other ways to be silent and to send without end.
describe('strangers that say nothing at all', () => {
  it(HAVE_PLACES, () => havePlaces(SILENT['say nothing at all']));
});

it.each([
  ['an agent', 'a frame of 16 MiB', AGENT, WEBSOCKET['a frame of 16 MiB']],
  ['an agent', 'headers', AGENT, HTTP.headers],
  ['pynq-llm serve', 'headers', SERVE, HTTP.headers],
] as const)(
  '%s ends the connection of a stranger that sends %s without end, before it took 4 MiB',
  (_, _what, kind, endless) => endsEndless(kind, endless),
);

it('64 clients are let in while strangers come and go, the 65th is told that there are too many', async () => {
  await using victim = await startVictim(AGENT, { more: ['--no-http'] });
  let flooding = true;
  const flood = async () => {
    while (flooding) {
      const one = await dial(victim.place, { from: '127.0.0.2' });
      await one.send(upgradeRequest());
      await one.answered(200);
      await delay(50);
      one.reset();
    }
  };
  const floods = Array.from({ length: 6 }, flood);
  const clients: BoardClient[] = [];
  try {
    for (let i = 0; i < 64; i++) clients.push(await victim.enter());
    await expect(victim.enter()).rejects.toMatchObject({ code: 'AGENT_TOO_MANY_SESSIONS' });
    expect((await clients[0].health()).sessions).toBeGreaterThanOrEqual(64);
    await clients.pop()?.close();
    await expect.poll(() => victim.enter().then((client) => clients.push(client), String)).toBe(64);
  } finally {
    flooding = false;
    await Promise.all(floods);
    await Promise.all(clients.map((client) => client.close()));
  }
});
