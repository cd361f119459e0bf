import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BoardClient, Model, Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { ProcessFleet } from '../fleet/support/process-fleet.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { cli } from './support/cli.js';
import { noNatsServer } from './support/nats-server.js';

const PROMPT = 'Once upon a time';
const OPTIONS = { maxTokens: 40, temperature: 1, seed: 5, ignoreEos: true, window: 4 };

it.each([
  ['--links', '4300'],
  ['--fleet-name', 'shelf-1'],
  ['--fleet-creds', 'fleet.nk'],
])('no agent has %s without a fleet', async (flag, value) => {
  using home = temporaryDirectory();
  const { stderr, status } = await cli(['agent', flag, value], { home: home.path });
  expect(stderr).toContain('CLI_BAD_ARGUMENT');
  expect(stderr).toContain(flag);
  expect(status).not.toBe(0);
});

describe.skipIf(noNatsServer !== undefined).each([
  ['two processes that compute every matrix together', ['one', 'two'], []],
  ['two such groups, each with some layers', ['one', 'two', 'three', 'four'], ['--pipeline', '2']],
] as const)('%s', (_, names, flags) => {
  let fleet: ProcessFleet;
  let board: BoardClient;
  let model: Model;
  beforeAll(async () => {
    fleet = await ProcessFleet.start({
      names,
      gatewayFlags: ['--tensor', '2', '--force-tensor', ...flags],
      // Told how it is reached, and by the address from which it reaches the broker.
      flagsOf: (name) => ['--links', name === 'one' ? '127.0.0.1:0' : '0'],
    });
    board = fleet.client;
    model = await board.models.upload(TINY_MODEL);
  }, 180_000);
  afterAll(() => fleet?.[Symbol.asyncDispose]());

  it('give the tokens of one board, also where one of them is killed meanwhile', async () => {
    await using alone = await openMock();
    const reference = await alone.models.upload(TINY_MODEL);
    const expected: Token[] = [];
    for await (const token of reference.generate(PROMPT, OPTIONS)) expected.push(token);
    const [before] = (await board.fleetStatus()).plans ?? [];
    expect(before).toMatchObject({ state: 'whole', byRows: true, stages: names.map(() => ({})) });
    const killed = before!.stages[0]!.board;
    const tokens: Token[] = [];
    for await (const token of model.generate(PROMPT, OPTIONS)) {
      tokens.push(token);
      if (token.index === 16) void fleet.kill(killed);
    }
    expect(tokens).toEqual(expected);
    const { plans, diverged } = await board.fleetStatus();
    expect(diverged).toBe(0);
    expect(plans?.[0]?.number).toBeGreaterThan(before!.number);
    expect(plans?.[0]?.stages.map((stage) => stage.board)).not.toContain(killed);
  });
});
