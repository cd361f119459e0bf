import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BoardClient, Model, Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { ProcessFleet } from '../fleet/support/process-fleet.js';
import { TINY_MODEL } from './support/agent.js';
import { noNatsServer } from './support/nats-server.js';

const PROMPT = 'Once upon a time';
const OPTIONS = { maxTokens: 60, temperature: 1, seed: 5, ignoreEos: true, window: 4 };

describe.skipIf(noNatsServer !== undefined)('a pipeline of processes over a broker', () => {
  let fleet: ProcessFleet;
  let board: BoardClient;
  let model: Model;
  beforeAll(async () => {
    fleet = await ProcessFleet.start({
      names: ['one', 'two', 'three'],
      gatewayFlags: ['--pipeline', '2'],
    });
    board = fleet.client;
    model = await board.models.upload(TINY_MODEL);
  }, 180_000);
  afterAll(() => fleet?.[Symbol.asyncDispose]());

  it('has what its boards need of the model fetched by them alone, as a part', async () => {
    const [plan] = (await board.fleetStatus()).plans ?? [];
    expect(plan?.state).toBe('whole');
    const used = plan?.stages.map((stage) => stage.board) ?? [];
    expect(used).toHaveLength(2);
    for (const name of fleet.running) {
      const files = (folder: string) => readdirSync(`${fleet.homeOf(name)}/${folder}`);
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
      if (token.index === 20) void fleet.kill(killed);
    }
    expect(tokens).toEqual(expected);
    const { plans, redelivered, diverged } = await board.fleetStatus();
    expect({ redelivered, diverged }).toEqual({ redelivered: 1, diverged: 0 });
    expect(plans?.[0]?.number).toBeGreaterThan(before!.number);
    expect(plans?.[0]?.stages.map((stage) => stage.board)).not.toContain(killed);
  });
});
