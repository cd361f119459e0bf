import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type BoardClient, connect, type Model, type Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { type AgentProcess, cli, cliAgent, cliServer } from './support/cli.js';
import { noNatsServer, TestNatsServer } from './support/nats-server.js';

const PROMPT = 'Once upon a time';
const OPTIONS = { maxTokens: 40, temperature: 1, seed: 5, ignoreEos: true, window: 4 };

it('no agent has links without a fleet', async () => {
  using home = temporaryDirectory();
  const { stderr, status } = await cli(['agent', '--links', '4300'], { home: home.path });
  expect(stderr).toContain('CLI_BAD_ARGUMENT');
  expect(status).not.toBe(0);
});

describe.skipIf(noNatsServer !== undefined)('processes that compute every matrix together', () => {
  const home = temporaryDirectory();
  let broker: TestNatsServer;
  let gateway: AgentProcess;
  const agents = new Map<string, AgentProcess>();
  let board: BoardClient;
  let model: Model;
  const join = async (name: string, ...flags: string[]) => {
    const joining = ['--fleet', broker.url, '--fleet-name', name, '--threads', '1', ...flags];
    agents.set(name, await cliAgent(`${home.path}/${name}`, 'mock:', joining));
  };
  beforeAll(async () => {
    broker = await TestNatsServer.start();
    const args = ['fleet', 'serve', '--bus', broker.url, '--port', '0', '--tensor', '2', '--force-tensor'];
    gateway = await cliServer([...args, '--log-level', 'warn'], { home: `${home.path}/gateway` });
    // Told how it is reached, and by the address from which it reaches the broker.
    await join('one', '--links', '127.0.0.1:0');
    await join('two', '--links', '0');
    board = await connect(gateway.url);
    await vi.waitFor(async () => expect((await board.fleetStatus()).boards).toHaveLength(2), 60_000);
    model = await board.models.upload(TINY_MODEL);
  }, 180_000);
  afterAll(async () => {
    await board?.close();
    for (const agent of agents.values()) await agent[Symbol.asyncDispose]();
    await gateway?.[Symbol.asyncDispose]();
    await broker?.[Symbol.asyncDispose]();
    home[Symbol.dispose]();
  });

  it('give the tokens of one board, also where one of them is killed meanwhile', async () => {
    await using alone = await openMock();
    const reference = await alone.models.upload(TINY_MODEL);
    const expected: Token[] = [];
    for await (const token of reference.generate(PROMPT, OPTIONS)) expected.push(token);
    const [before] = (await board.fleetStatus()).plans ?? [];
    expect(before).toMatchObject({ state: 'whole', byRows: true });
    const killed = before!.stages[0]!.board;
    const tokens: Token[] = [];
    for await (const token of model.generate(PROMPT, OPTIONS)) {
      tokens.push(token);
      if (token.index === 16) agents.get(killed)?.child.kill('SIGKILL');
    }
    expect(tokens).toEqual(expected);
    const { plans, diverged } = await board.fleetStatus();
    expect(diverged).toBe(0);
    expect(plans?.[0]?.number).toBeGreaterThan(before!.number);
    expect(plans?.[0]?.stages.map((stage) => stage.board)).not.toContain(killed);
  });
});
