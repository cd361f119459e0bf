import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { newTraffic } from '../../../driver/traffic.js';
import type { ServerStream } from '../../../protocol/index.js';
import { CountersClient } from '../../../sdk/counters-client.js';
import { scriptedAgent } from './scripted-agent.js';

const TRAFFIC = newTraffic();

/** @param options.breakAt the subscription before whose reply the connection breaks */
function subscriptions(options: { readonly breakAt?: number } = {}) {
  const streams: ServerStream[] = [];
  const agent = scriptedAgent((call) => {
    if (call.method !== 'counters.subscribe') return {};
    streams.push(call.stream());
    if (streams.length === options.breakAt) agent.breakNow();
    return {};
  });
  const step = (number: number) =>
    streams.at(-1)?.emit({ step: number, durationMs: 1, tokens: 1, traffic: TRAFFIC, dropped: 0 });
  return { agent, streams, step };
}

describe('a subscription to steps', () => {
  it('goes on over a connection that breaks', async () => {
    const { agent, streams, step } = subscriptions();
    const connection = await agent.connect();
    const steps = new CountersClient(connection).subscribe();
    const first = steps.next();
    await expect.poll(() => streams.length).toBe(1);
    step(1);
    expect((await first).value?.step).toBe(1);
    const second = steps.next();
    agent.breakNow();
    await expect.poll(() => streams[1]?.credit).toBeGreaterThan(0);
    step(2);
    expect((await second).value?.step).toBe(2);
    await steps.return();
    await connection.close();
  });

  it('leaves nothing behind on the agent when it is ended while the connection is made again', async () => {
    const { agent, streams } = subscriptions();
    const connection = await agent.connect();
    const stop = new AbortController();
    const steps = new CountersClient(connection).subscribe({ signal: stop.signal });
    const next = steps.next();
    await expect.poll(() => streams[0]?.credit).toBeGreaterThan(0);
    agent.isDown = true;
    agent.breakNow();
    stop.abort();
    expect((await next).done).toBe(true);
    agent.isDown = false;
    await connection.ready();
    await connection.request('board.health', {}).catch(() => {});
    await expect.poll(() => agent.connections).toBe(2);
    await pause(20);
    expect(agent.openStreams).toBe(0);
    await connection.close();
  });

  it('survives a connection that breaks while the subscription is made again', async () => {
    const { agent, streams, step } = subscriptions({ breakAt: 2 });
    const connection = await agent.connect();
    const steps = new CountersClient(connection).subscribe();
    const next = steps.next();
    await expect.poll(() => streams[0]?.credit).toBeGreaterThan(0);
    agent.breakNow();
    await expect.poll(() => streams[2]?.credit).toBeGreaterThan(0);
    step(3);
    expect((await next).value?.step).toBe(3);
    await steps.return();
    await connection.close();
  });

  it('ends in the error of an agent that does not come back', async () => {
    const { agent, streams } = subscriptions();
    const connection = await agent.connect({ reconnectMs: 100 });
    const next = new CountersClient(connection).subscribe().next();
    await expect.poll(() => streams[0]?.credit).toBeGreaterThan(0);
    agent.isDown = true;
    agent.breakNow();
    await expect(next).rejects.toMatchObject({ code: 'SDK_CONNECTION_LOST' });
    await connection.close();
  });
});
