import { describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import type { ConnectionEvent } from '../../../sdk/connection.js';
import { scriptedAgent } from './scripted-agent.js';

function watched() {
  const events: ConnectionEvent[] = [];
  return { events, onConnection: (event: ConnectionEvent) => events.push(event) };
}

describe('a connection that breaks', () => {
  it('says so at once, with the reason and how long it is tried again, and when it is there again', async () => {
    const { events, onConnection } = watched();
    const agent = scriptedAgent(() => ({}));
    const connection = await agent.connect({ onConnection, reconnectMs: 3_000 });
    expect(events).toEqual([]);
    agent.isDown = true;
    agent.breakNow();
    expect(events).toMatchObject([{ type: 'lost', reason: { code: 'SDK_CONNECTION_LOST' }, retryMs: 3_000 }]);
    agent.isDown = false;
    await connection.ready();
    expect(events.at(-1)).toEqual({ type: 'restored' });
    await connection.close();
    expect(events).toHaveLength(2);
  });

  it('ends in one error that names each reason once, when the agent does not come back', async () => {
    const agent = scriptedAgent(() => ({}));
    const connection = await agent.connect({ reconnectMs: 200 });
    agent.isDown = true;
    agent.breakNow();
    const error: unknown = await connection.ready().catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'SDK_CONNECTION_LOST',
      what:
        'The connection to scripted broke: closed with code 1006. It could not be made again within 0.2 s. ' +
        'scripted: could not be reached: connect ECONNREFUSED.',
    });
    await connection.close();
  });

  it('is tried again at growing distances, which are not the same for all clients', async () => {
    const agent = scriptedAgent(() => ({}));
    const connection = await agent.connect({ reconnectMs: 2_000 });
    agent.isDown = true;
    agent.breakNow();
    await connection.ready().catch(() => {});
    const waits = agent.attempts.slice(2).map((at, i) => at - agent.attempts[i + 1]);
    // 100, 200, 400 ms and so on up to 2 s, each at most halved.
    expect(waits.length).toBeGreaterThanOrEqual(3);
    expect(waits.length).toBeLessThanOrEqual(6);
    for (const [i, wait] of waits.entries())
      expect(wait).toBeGreaterThanOrEqual(Math.min(1_000, 50 * 2 ** i) - 2);
    await connection.close();
  });

  it('is given up in time when the next one is made but says nothing', async () => {
    const agent = scriptedAgent(() => ({}));
    const connection = await agent.connect({ reconnectMs: 300, timeoutMs: 60_000 });
    agent.isMute = true;
    agent.breakNow();
    const started = performance.now();
    await expect(connection.ready()).rejects.toMatchObject({
      code: 'SDK_CONNECTION_LOST',
      what: expect.stringMatching(/could not be made again within 0\.3 s/),
    });
    expect(performance.now() - started).toBeLessThan(3_000);
    await connection.close();
  });

  it.each([
    ['AGENT_UNAUTHORISED', 1],
    ['AGENT_CLOSING', 2],
  ] as const)('and is refused with %s is tried %i times or more', async (code, times) => {
    const agent = scriptedAgent(() => ({}));
    const connection = await agent.connect({ reconnectMs: 1_500 });
    agent.refusal = new PynqLlmError(code, 'Refused.');
    agent.breakNow();
    await expect(connection.ready()).rejects.toMatchObject({
      code: code === 'AGENT_UNAUTHORISED' ? code : 'SDK_CONNECTION_LOST',
    });
    const again = agent.attempts.length - 1;
    if (times === 1) expect(again).toBe(1);
    else expect(again).toBeGreaterThanOrEqual(times);
    await connection.close();
  });

  it('ends in the reason that the agent gave, without its number and remedy', async () => {
    const agent = scriptedAgent(() => new Promise(() => {}));
    const connection = await agent.connect({ reconnectMs: 0 });
    const lost = new Promise((resolve) => {
      const reader = { onEvent: () => {}, onLost: resolve };
      void connection
        .openStream('counters.subscribe', {}, reader)
        .then(({ result }) => result.catch(() => {}));
    });
    await expect.poll(() => agent.calls.length).toBe(1);
    agent.fail(new PynqLlmError('AGENT_CLOSING', 'The agent is shutting down.'));
    await lost;
    await expect(connection.ready()).rejects.toMatchObject({
      code: 'SDK_CONNECTION_LOST',
      what: 'The session ended: The agent is shutting down.',
    });
    await connection.close();
  });

  it('tells when it is given up, and nothing when it was closed', async () => {
    const agent = scriptedAgent(() => ({}));
    const closed = await agent.connect();
    let told = false;
    void closed.lost.then(() => {
      told = true;
    });
    await closed.close();
    const given = await agent.connect({ reconnectMs: 100 });
    expect(given.isOpen).toBe(true);
    agent.isDown = true;
    agent.breakNow();
    expect(given.isOpen).toBe(false);
    await expect(given.lost).resolves.toMatchObject({ code: 'SDK_CONNECTION_LOST' });
    expect(told).toBe(false);
    await given.close();
  });

  it('is not tried again, and says nothing, after it was closed', async () => {
    const { events, onConnection } = watched();
    const agent = scriptedAgent(() => ({}));
    const connection = await agent.connect({ onConnection });
    await connection.close();
    expect(events).toEqual([]);
    expect(agent.connections).toBe(1);
    await expect(connection.ready()).rejects.toMatchObject({ code: 'SDK_CLOSED' });
  });
});
