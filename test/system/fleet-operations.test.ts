import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Member } from '../../fleet/index.js';
import { silentLog } from '../../listen/index.js';
import { type BoardClient, connect, type Model } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';
import { cli } from './support/cli.js';
import { type TestFleet, testFleet } from './support/fleet.js';

const OPTIONS = { maxTokens: 12, temperature: 0 };
const POLL = { timeout: 60_000, interval: 50 };

describe('operating a fleet', () => {
  const home = temporaryDirectory();
  let fleet: TestFleet;
  let operator: BoardClient;
  let model: Model;
  beforeAll(async () => {
    fleet = await testFleet({ boards: 2 });
    operator = await connect(fleet.url);
    model = await operator.models.upload(TINY_MODEL);
  });
  afterAll(async () => {
    await operator?.close();
    await fleet?.[Symbol.asyncDispose]();
    home[Symbol.dispose]();
  });
  const states = async () => (await operator.fleetStatus()).boards.map(({ state }) => state);

  it('names what it can do', () => {
    expect(operator.info.capabilities).toContain('fleet-operations');
  });

  it('drains a board: it ends what it has and gets nothing new, and then gets some again', async () => {
    const long = ['a', 'b', 'c', 'd'].map(() =>
      model.generate('Once upon a time', { ...OPTIONS, maxTokens: 40 }),
    );
    await Promise.all(long.map(({ admitted }) => admitted));
    const { inHand } = await operator.fleetDrain('mock-1');
    expect(inHand).toBeLessThanOrEqual(long.length);
    expect(await states()).toEqual(['draining', 'ready']);
    const texts = await Promise.all(long.map((generation) => generation.text()));
    expect(new Set(texts).size).toBe(1);
    await expect.poll(async () => (await operator.fleetStatus()).boards[0]!.inHand, POLL).toBe(0);
    // Nothing was lost or begun twice for it.
    expect(await operator.fleetStatus()).toMatchObject({ redelivered: 0, diverged: 0 });
    const more = Array.from({ length: 6 }, () => model.generate('Once upon a time', OPTIONS));
    await Promise.all(more.map(({ admitted }) => admitted));
    expect((await operator.fleetStatus()).boards[0]!.inHand).toBe(0);
    await Promise.all(more.map((generation) => generation.text()));
    await operator.fleetDrain('mock-1', { undo: true });
    expect(await states()).toEqual(['ready', 'ready']);
  });

  it('has requests wait while all boards are drained', async () => {
    for (const name of ['mock-1', 'mock-2']) await operator.fleetDrain(name);
    const waiting = model.generate({ tokens: [1, 2, 3] }, OPTIONS);
    await waiting.admitted;
    await expect.poll(async () => (await operator.fleetStatus()).waiting, POLL).toBe(1);
    // What no board would take does not wait to be refused.
    const tooLong = model.generate({ tokens: new Array<number>(4_096).fill(1) }, OPTIONS);
    await expect(tooLong.admitted).rejects.toMatchObject({ code: 'LLM_PROMPT_TOO_LONG' });
    await operator.fleetDrain('mock-2', { undo: true });
    expect(await waiting.text()).not.toBe('');
    await operator.fleetDrain('mock-1', { undo: true });
  });

  it('says for programs what draining a board came to', async () => {
    const drain = async (...flags: string[]) => {
      const args = ['fleet', 'drain', 'mock-1', '--json', '--device', fleet.url, ...flags];
      const { status, stdout, stderr } = await cli(args, { home: home.path });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      return JSON.parse(stdout);
    };
    expect(await drain()).toEqual({ board: 'mock-1', draining: true, inHand: 0 });
    expect(await drain('--wait', '60')).toEqual({ board: 'mock-1', draining: true, inHand: 0 });
    expect(await drain('--undo')).toEqual({ board: 'mock-1', draining: false, inHand: 0 });
    expect(await states()).toEqual(['ready', 'ready']);
  });

  it('refuses boards that are not there, and one board as a fleet', async () => {
    await expect(operator.fleetDrain('nobody')).rejects.toMatchObject({ code: 'FLEET_BOARD_UNKNOWN' });
    await using client = await openMock();
    await expect(client.fleetVerify()).rejects.toMatchObject({ code: 'FLEET_NOT_A_FLEET' });
    await expect(client.fleetDrain('one')).rejects.toMatchObject({ code: 'FLEET_NOT_A_FLEET' });
  });

  it('finds the board whose bits are others, by keys and values of another type', async () => {
    expect(await operator.fleetVerify()).toMatchObject({ differences: [] });
    await using odd = await joinOdd();
    await expect
      .poll(async () => (await operator.fleetStatus()).boards.map(({ models }) => models[0]?.state), POLL)
      .toEqual(['loaded', 'loaded', 'loaded']);
    const { boards, differences } = await operator.fleetVerify();
    expect(boards.map(({ name }) => name)).toEqual(['mock-1', 'mock-2', 'odd']);
    expect(differences.map(({ board, what }) => [board, what])).toEqual([['odd', 'generation']]);
    const shown = await cli(['fleet', 'verify', '--device', fleet.url], { home: home.path });
    expect(shown).toMatchObject({ status: 1, stdout: expect.stringMatching(/^odd .*DIFFERS: generation$/m) });
    await odd.member.close();
  });

  async function joinOdd(): Promise<{ readonly member: Member } & AsyncDisposable> {
    const agent = await testAgent({ storeDir: `${home.path}/odd`, threads: 1, kv: { type: 'int8' } });
    const bus = fleet.broker.connect('odd');
    const member = await Member.join({ bus, name: 'odd', agent, log: silentLog, leaseMs: 30_000 });
    return {
      member,
      [Symbol.asyncDispose]: async () => {
        await member.close();
        await bus.close();
        await agent.close();
      },
    };
  }
});
