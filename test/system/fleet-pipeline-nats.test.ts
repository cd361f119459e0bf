import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type BoardClient, connect, type Model, type Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { type AgentProcess, cliAgent, cliServer } from './support/cli.js';
import { noNatsServer, TestNatsServer } from './support/nats-server.js';

const PROMPT = 'Once upon a time';
const OPTIONS = { maxTokens: 60, temperature: 1, seed: 5, ignoreEos: true, window: 4 };

describe.skipIf(noNatsServer !== undefined)('a pipeline of processes over a broker', () => {
  const home = temporaryDirectory();
  let broker: TestNatsServer;
  let gateway: AgentProcess;
  const agents = new Map<string, AgentProcess>();
  let board: BoardClient;
  let model: Model;
  beforeAll(async () => {
    broker = await TestNatsServer.start();
    const args = ['fleet', 'serve', '--bus', broker.url, '--port', '0', '--pipeline', '2'];
    gateway = await cliServer([...args, '--log-level', 'warn'], { home: `${home.path}/gateway` });
    for (const name of ['one', 'two', 'three']) {
      const joining = ['--fleet', broker.url, '--fleet-name', name, '--threads', '1'];
      agents.set(name, await cliAgent(`${home.path}/${name}`, 'mock:', joining));
    }
    board = await connect(gateway.url);
    await vi.waitFor(async () => expect((await board.fleetStatus()).boards).toHaveLength(3), 60_000);
    model = await board.models.upload(TINY_MODEL);
  }, 180_000);
  afterAll(async () => {
    await board?.close();
    for (const agent of agents.values()) await agent[Symbol.asyncDispose]();
    await gateway?.[Symbol.asyncDispose]();
    await broker?.[Symbol.asyncDispose]();
    home[Symbol.dispose]();
  });

  it('has what its boards need of the model fetched by them alone, as a part', async () => {
    const [plan] = (await board.fleetStatus()).plans ?? [];
    expect(plan?.state).toBe('whole');
    const used = plan?.stages.map((stage) => stage.board) ?? [];
    expect(used).toHaveLength(2);
    for (const name of agents.keys()) {
      const files = (folder: string) => readdirSync(`${home.path}/${name}/${folder}`);
      expect(files('models')).toEqual([]);
      expect(files('parts')).toEqual(used.includes(name) ? [model.digest] : []);
    }
  });

  it('gives the tokens of one board, also where a stage is killed meanwhile and another board takes its place', async () => {
    await using alone = await openMock();
    const reference = await alone.models.upload(TINY_MODEL);
    const expected: Token[] = [];
    for await (const token of reference.generate(PROMPT, OPTIONS)) expected.push(token);
    const [before] = (await board.fleetStatus()).plans ?? [];
    const killed = before!.stages[0]!.board;
    const tokens: Token[] = [];
    for await (const token of model.generate(PROMPT, OPTIONS)) {
      tokens.push(token);
      if (token.index === 20) agents.get(killed)?.child.kill('SIGKILL');
    }
    expect(tokens).toEqual(expected);
    const { plans, redelivered, diverged } = await board.fleetStatus();
    expect({ redelivered, diverged }).toEqual({ redelivered: 1, diverged: 0 });
    expect(plans?.[0]?.number).toBeGreaterThan(before!.number);
    expect(plans?.[0]?.stages.map((stage) => stage.board)).not.toContain(killed);
  });
});
