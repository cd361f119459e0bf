import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type BoardClient, connect, type Model, type Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { type AgentProcess, cli, cliAgent, cliServer } from './support/cli.js';
import { noNatsServer, TestNatsServer } from './support/nats-server.js';

const PROMPT = 'Once upon a time';
const OPTIONS = { maxTokens: 60, temperature: 1, seed: 5, ignoreEos: true, window: 4 };

describe.skipIf(noNatsServer !== undefined)('a fleet of processes over a broker', () => {
  const home = temporaryDirectory();
  let broker: TestNatsServer;
  let gateway: AgentProcess;
  const agents = new Map<string, AgentProcess>();
  let board: BoardClient;
  let model: Model;
  const joined = async () => (await board.fleetStatus()).boards.map(({ name }) => name);
  beforeAll(async () => {
    broker = await TestNatsServer.start();
    const args = ['fleet', 'serve', '--bus', broker.url, '--port', '0', '--log-level', 'warn'];
    gateway = await cliServer(args, { home: `${home.path}/gateway` });
    for (const name of ['one', 'two'])
      agents.set(
        name,
        await cliAgent(`${home.path}/${name}`, 'mock:', [
          '--fleet',
          broker.url,
          '--fleet-name',
          name,
          '--threads',
          '1',
          '--log-level',
          'info',
        ]),
      );
    board = await connect(gateway.url);
    await vi.waitFor(async () => expect(await joined()).toEqual(['one', 'two']), 20_000);
    model = await board.models.upload(TINY_MODEL);
  });
  afterAll(async () => {
    await board?.close();
    for (const agent of agents.values()) await agent[Symbol.asyncDispose]();
    await gateway?.[Symbol.asyncDispose]();
    await broker?.[Symbol.asyncDispose]();
    home[Symbol.dispose]();
  });

  it('gives many clients at once the text of one, and no request twice', async () => {
    const texts = new Set<string>();
    for (let round = 0; round < 4; round++) {
      const all = Array.from({ length: 6 }, () =>
        model.generate(PROMPT, { maxTokens: 24, temperature: 0 }).text(),
      );
      for (const text of await Promise.all(all)) texts.add(text);
    }
    expect(texts.size).toBe(1);
    expect(await board.fleetStatus()).toMatchObject({ redelivered: 0, diverged: 0 });
  });

  it('says which board had a request of a trace, in the log of that board, and what each board counts', async () => {
    const trace = 'c0ffee'.padEnd(32, '7');
    const traceparent = `00-${trace}-b7ad6b7169203331-01`;
    await model.generate(PROMPT, { maxTokens: 5, temperature: 0, traceparent }).text();
    const told = () =>
      [...agents].flatMap(([name, { log }]) =>
        log()
          .split('\n')
          .filter((line) => line.includes(trace))
          .map((line) => ({ name, ...JSON.parse(line) })),
      );
    await vi.waitFor(() => expect(told()).toHaveLength(2), 20_000);
    const [ended, onBoard] = told();
    expect(ended).toMatchObject({ msg: 'generation ended', trace, tokens: 5, reason: 'max-tokens' });
    expect(onBoard).toMatchObject({
      msg: 'a request ended on this board',
      trace,
      board: ended.name,
      tokens: 5,
    });
    const { boards = [], steps } = await board.metrics();
    expect(boards.map(({ name }) => name)).toEqual(['one', 'two']);
    for (const { roundTripMs } of boards) expect(roundTripMs).toBeGreaterThan(0);
    expect(boards.reduce((sum, { engine }) => sum + (engine?.steps ?? 0), 0)).toBe(steps);
  });

  it('gives the tokens of one board, also where a board is killed meanwhile', async () => {
    await using alone = await openMock();
    const reference = await alone.models.upload(TINY_MODEL);
    const expected: Token[] = [];
    for await (const token of reference.generate(PROMPT, OPTIONS)) expected.push(token);
    const tokens: Token[] = [];
    let killed: string | undefined;
    for await (const token of model.generate(PROMPT, OPTIONS)) {
      tokens.push(token);
      if (token.index !== 20) continue;
      const { boards } = await board.fleetStatus();
      killed = boards.find(({ inHand }) => inHand > 0)?.name;
      agents.get(killed ?? '')?.child.kill('SIGKILL');
    }
    expect(killed).toBeDefined();
    expect(tokens).toEqual(expected);
    const after = await board.fleetStatus();
    expect(after).toMatchObject({ redelivered: 1, diverged: 0 });
    expect(after.boards).toHaveLength(1);
  });

  it('tells on the command line which boards it has', async () => {
    const shown = await cli(['fleet', 'status', '--device', gateway.url], { home: home.path });
    expect(shown.stdout).toMatch(/^(one|two) +PYNQ-Z1.* ready +0 of 8 +[0-9a-f]{12} loaded$/m);
    expect(shown.status).toBe(0);
  });
});
