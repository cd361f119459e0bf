import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BoardClient, connect, type GenerateOptions, type Model, type Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL, temporaryDirectory } from '../system/support/agent.js';
import { type AgentProcess, cliServer } from '../system/support/cli.js';
import { noNatsServer, TestNatsServer } from '../system/support/nats-server.js';

const PROMPT = 'Once upon a time';
const SCHEMA = { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] };
const MODES: Readonly<Record<string, GenerateOptions>> = {
  greedy: { maxTokens: 20, temperature: 0, ignoreEos: true },
  sampled: { maxTokens: 20, temperature: 1, seed: 11, topLogprobs: 2, repeatPenalty: 1.1, ignoreEos: true },
  schema: { maxTokens: 20, temperature: 1, seed: 3, responseFormat: { type: 'json-schema', schema: SCHEMA } },
};
/** Tokens that were read when the gateway is killed: before the first, in between, and with the last ones computed and unread. */
const MOMENTS = [0, 1, 5, 17];
/** Fewer than are left, so that none has ended. */
const WINDOW = 2;
/** Whatever becomes of this process, those of its fleet end with it. */
const WITH_US = ['setpriv', '--pdeathsig', 'KILL'];

/** A generation that is read up to a token, and later to its end. */
function begin(model: Model, options: GenerateOptions) {
  const generation = model.generate(PROMPT, { ...options, window: WINDOW });
  const reading = generation[Symbol.asyncIterator]();
  const tokens: Token[] = [];
  const upTo = async (count: number) => {
    while (tokens.length < count) {
      const { value, done } = await reading.next();
      if (done || value === undefined) return;
      tokens.push(value);
    }
  };
  return {
    admitted: generation.admitted,
    upTo,
    rest: async () => {
      await upTo(Number.POSITIVE_INFINITY);
      const { reason, text, tokens: count } = await generation.done;
      return { tokens, end: { reason, text, count } };
    },
  };
}

describe.skipIf(noNatsServer !== undefined)('a gateway that is killed', () => {
  const home = temporaryDirectory();
  let broker: TestNatsServer;
  let alone: BoardClient;
  let board: BoardClient;
  const processes: AgentProcess[] = [];
  const run = async (name: string, args: readonly string[]) => {
    const process = await cliServer([...args, '--log-level', 'info'], {
      home: `${home.path}/${name}`,
      within: WITH_US,
    });
    processes.push(process);
    return process;
  };
  const gateway = (name: string, port: string) =>
    run(name, ['fleet', 'serve', '--bus', broker.url, '--port', port]);
  const member = (name: string) =>
    run(name, [
      ...['agent', '--device', 'mock:', '--listen', 'ws://127.0.0.1:0', '--threads', '1', '--no-http'],
      ...['--fleet', broker.url, '--fleet-name', name],
    ]);
  const kill = async ({ child }: AgentProcess) => {
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  };
  beforeAll(async () => {
    broker = await TestNatsServer.start();
    alone = await openMock();
  });
  afterAll(async () => {
    await board?.close();
    await alone?.close();
    for (const process of processes) await process[Symbol.asyncDispose]();
    await broker?.[Symbol.asyncDispose]();
    home[Symbol.dispose]();
  });

  it('has the standby go on with every generation of its clients, twice', async () => {
    let leader = await gateway('a', '0');
    let standby = await gateway('b', '0');
    await Promise.all([member('one'), member('two')]);
    await expect(connect(standby.url)).rejects.toMatchObject({ code: 'FLEET_STANDBY' });
    const health = await fetch(`${standby.url.replace('ws:', 'http:')}/health`);
    expect(health.status).toBe(503);
    expect(await health.json()).toMatchObject({
      status: 'standby',
      error: expect.stringContaining(leader.url),
    });

    // On a busy machine it takes its time.
    board = await connect(`${leader.url},${standby.url}`, { reconnectMs: 120_000 });
    const model = await board.models.upload(TINY_MODEL);
    const reference = await alone.models.upload(TINY_MODEL);
    for (let round = 1; round <= 2; round++) {
      const all = Object.entries(MODES).flatMap(([mode, options]) =>
        MOMENTS.map((moment) => ({ mode, moment, options, under: begin(model, options) })),
      );
      await Promise.all(all.map(({ under }) => under.admitted));
      await Promise.all(all.map(({ under, moment }) => under.upTo(moment)));
      await kill(leader);
      for (const { mode, moment, options, under } of all) {
        const expected = await begin(reference, options).rest();
        expect(await under.rest(), `${mode}, killed after ${moment}`).toEqual(expected);
      }
      const { boards, diverged } = await board.fleetStatus();
      expect(diverged).toBe(0);
      expect(boards.map(({ models }) => models.map(({ state }) => state))).toEqual([['loaded'], ['loaded']]);
      // Where it was, it comes back, and stands by.
      const port = new URL(leader.url).port;
      const killed = leader;
      leader = standby;
      if (round === 1) standby = await gateway(killed === processes[0] ? 'a' : 'b', port);
    }
  }, 600_000);
});
