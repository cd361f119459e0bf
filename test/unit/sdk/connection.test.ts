import { describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import { Connection, type ConnectionEvent } from '../../../sdk/connection.js';
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

  it('has what only looks asked again on the next one, three times at most, and tells of all else', async () => {
    let breaks = 1;
    const agent = scriptedAgent(() => {
      if (breaks-- > 0) agent.breakNow();
      return { models: [] };
    });
    const connection = await agent.connect();
    expect(await connection.request('models.list', {})).toEqual({ models: [] });
    expect(agent.calls.map(({ method }) => method)).toEqual(['models.list', 'models.list']);
    breaks = 1;
    await expect(connection.request('registers.list', {})).rejects.toMatchObject({
      code: 'SDK_CONNECTION_LOST',
    });
    agent.calls.length = 0;
    breaks = 9;
    await expect(connection.request('fleet.status', {})).rejects.toMatchObject({
      code: 'SDK_CONNECTION_LOST',
    });
    expect(agent.calls).toHaveLength(3);
    await connection.close();
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

describe('a connection to one of several places', () => {
  const standby = new PynqLlmError('FLEET_STANDBY', 'Gateway b leads the fleet; this one, a, stands by.');
  const OPTIONS = { client: 'test', token: undefined, timeoutMs: 5_000, reconnectMs: 20_000 };
  const two = () => {
    const named = (name: string) => scriptedAgent(() => ({ steps: name === 'a' ? 1 : 2 }));
    const [a, b] = [named('a'), named('b')];
    return { a, b, open: (options = OPTIONS) => Connection.open([a.open, b.open], options) };
  };
  const asked = async (connection: Connection) =>
    (await connection.request('generate.progress', { generation: 'a'.repeat(32) })).steps;

  it.each(['stands by', 'is down'])('passes over one that %s', async (how) => {
    const { a, open } = two();
    if (how === 'is down') a.isDown = true;
    else a.refusal = standby;
    const connection = await open();
    expect(await asked(connection)).toBe(2);
    await connection.close();
  });

  it('waits while all that answer stand by, until one leads', async () => {
    const { a, b, open } = two();
    a.refusal = standby;
    b.refusal = standby;
    const opening = open();
    await expect.poll(() => a.attempts.length).toBeGreaterThan(1);
    b.refusal = undefined;
    const connection = await opening;
    expect(await asked(connection)).toBe(2);
    await connection.close();
  });

  it('says after its time that all stand by, and at once that none can be reached or that one does not let it in', async () => {
    const { a, b, open } = two();
    a.refusal = standby;
    b.isDown = true;
    await expect(open({ ...OPTIONS, timeoutMs: 200 })).rejects.toMatchObject({ code: 'FLEET_STANDBY' });
    a.isDown = true;
    const before = b.attempts.length;
    await expect(open()).rejects.toMatchObject({ code: 'SDK_CONNECT_FAILED' });
    expect(b.attempts.length).toBe(before + 1);
    a.isDown = false;
    a.refusal = new PynqLlmError('AGENT_UNAUTHORISED', 'No.');
    await expect(open()).rejects.toMatchObject({ code: 'AGENT_UNAUTHORISED' });
    expect(b.attempts.length).toBe(before + 1);
  });

  it('names all of them where none can be reached, those too that do not answer', async () => {
    const down = async (place: string): Promise<never> => {
      throw new PynqLlmError('SDK_CONNECT_FAILED', `${place} could not be reached: connect ECONNREFUSED.`);
    };
    const silent = (_: unknown, signal: AbortSignal) =>
      new Promise<never>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    const places = [() => down('ws://a'), Object.assign(silent, { place: 'ws://b' }), () => down('ws://c')];
    const opening = Connection.open(places, { ...OPTIONS, timeoutMs: 200 });
    await expect(opening).rejects.toMatchObject({
      code: 'SDK_CONNECT_FAILED',
      message: expect.stringMatching(
        /ws:\/\/a could not .*No connection to ws:\/\/b within .*ws:\/\/c could not /,
      ),
    });
    await expect(Connection.open(places[0]!, OPTIONS)).rejects.toMatchObject({
      message: expect.not.stringContaining('addresses'),
    });
  });

  it('that leads no more goes on with the other one, and a request that was broken off says so', async () => {
    const { a, b, open } = two();
    const connection = await open();
    expect(await asked(connection)).toBe(1);
    a.refusal = standby;
    a.fail(standby);
    await expect.poll(() => b.connections).toBe(1);
    expect(await asked(connection)).toBe(2);
    // A drop of the one that leads is tried there first.
    const before = a.attempts.length;
    b.breakNow();
    await connection.ready();
    expect(await asked(connection)).toBe(2);
    expect(a.attempts.length).toBe(before);
    await connection.close();
  });

  it('to a standby alone fails at once', async () => {
    const { a } = two();
    a.refusal = standby;
    await expect(a.connect()).rejects.toMatchObject({ code: 'FLEET_STANDBY' });
    expect(a.attempts).toHaveLength(1);
  });
});
