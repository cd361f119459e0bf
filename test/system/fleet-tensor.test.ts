import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BoardClient, connect, type GenerateOptions, type Model, type Token } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { cli, cliServer } from './support/cli.js';
import { testFleet } from './support/fleet.js';
import {
  expectManyAlike,
  type FleetBesideOne,
  fleetBesideOne,
  modesOf,
  wholeOf,
} from './support/fleet-beside-one.js';

const PROMPT = 'Once upon a time';
const FORCED = { boards: 2, isForced: true };

let both: FleetBesideOne;
let { reference, fleet, board, model } = {} as FleetBesideOne;
beforeAll(async () => {
  both = await fleetBesideOne({ boards: 2, tensor: FORCED, hopMs: 30_000, maxWaitMs: 60_000 });
  ({ reference, fleet, board, model } = both);
}, 120_000);
afterAll(() => both?.[Symbol.asyncDispose]());

const whole = (of: Model, options: GenerateOptions) => wholeOf(of, PROMPT, options);

const MODES = modesOf(24);
const LONG: GenerateOptions = { maxTokens: 40, temperature: 1, seed: 5, ignoreEos: true, window: 4 };

/** Two boards, or all of it on one: the plans' numbers of boards. */
async function sizes(of: BoardClient): Promise<number[]> {
  const { plans = [] } = await of.fleetStatus();
  return plans.filter(({ state }) => state === 'whole').map(({ stages }) => stages.length);
}

describe('two boards that compute every matrix together', () => {
  it('tell it, with the round trip of their links', async () => {
    const { plans = [] } = await board.fleetStatus();
    expect(plans).toMatchObject([{ state: 'whole', byRows: true, stages: [{}, {}] }]);
    expect(plans[0]!.roundTripMs).toBeGreaterThan(0);
  });

  for (const [mode, options] of Object.entries(MODES))
    it(`give the bits of one board: ${mode}`, async () => {
      expect(await whole(model, options)).toEqual(await whole(reference, options));
    });

  it('give them to many at a time, and end what is cancelled', async () => {
    await expectManyAlike(both, PROMPT, { count: 5, maxTokens: 8 });
  });

  // Each of them is in turn the one with the engine, and one that follows it.
  it.each([0, 1])(
    'go on with an answer where board %i of the plan leaves in the middle of it',
    async (place) => {
      const { redelivered } = await board.fleetStatus();
      const { plans = [] } = await board.fleetStatus();
      const gone = plans[0]!.stages[place]!.board;
      const tokens: Token[] = [];
      for await (const token of model.generate(PROMPT, LONG)) {
        tokens.push(token);
        if (token.index === 16) await fleet.boards.get(gone)?.member.close();
      }
      expect(tokens).toEqual((await whole(reference, LONG)).tokens);
      const after = await board.fleetStatus();
      expect(after).toMatchObject({ redelivered: redelivered + 1, diverged: 0 });
      expect(await sizes(board)).toEqual([1]);
      await fleet.join(gone);
      await expect.poll(() => sizes(board), { timeout: 60_000 }).toEqual([2]);
      expect(await whole(model, MODES.greedy)).toEqual(await whole(reference, MODES.greedy));
    },
  );

  it('go on where their links are lost', async () => {
    const { plans = [] } = await board.fleetStatus();
    const tokens: Token[] = [];
    for await (const token of model.generate(PROMPT, LONG)) {
      tokens.push(token);
      if (token.index === 16) for (const { links } of fleet.boards.values()) links!.disconnect();
    }
    expect(tokens).toEqual((await whole(reference, LONG)).tokens);
    const after = (await board.fleetStatus()).plans ?? [];
    expect(after[0]!.number).toBeGreaterThan(plans[0]!.number);
    expect(await board.fleetStatus()).toMatchObject({ diverged: 0 });
  });
});

describe('a fleet that cuts its models by rows', () => {
  it('does not where boards have no links, and says which', async () => {
    await using unlinked = await testFleet({ boards: 2, tensor: FORCED, links: false });
    await using client = await connect(unlinked.url);
    const { digest } = await client.models.store(TINY_MODEL);
    await expect(client.models.load(digest)).rejects.toMatchObject({
      code: 'FLEET_LINKS_OFF',
      message: expect.stringMatching(/mock-1, mock-2 have no links/),
    });
  });

  it('does not where the round trip of the links does not let it pay, with both times', async () => {
    // There and back it is 20 ms, beside the 5.89 ms that one board takes for a step.
    const tensor = { boards: 2, isForced: false };
    await using slow = await testFleet({ boards: 2, tensor, linkDelayMs: 10 });
    await using client = await connect(slow.url);
    const { digest } = await client.models.store(TINY_MODEL);
    await expect(client.models.load(digest)).rejects.toMatchObject({
      code: 'FLEET_TENSOR_DOES_NOT_PAY',
      message: expect.stringMatching(/ at a round trip of [1-9]\d[\d.]* ms; one board takes 5\.89 ms/),
    });
    expect((await client.fleetStatus()).plans).toEqual([]);
  });

  it('is one command on the command line, and tells its plans there', async () => {
    using home = temporaryDirectory();
    const args = ['fleet', 'up', '--mocks', '2', '--tensor', '2', '--force-tensor', '--model', TINY_MODEL];
    await using up = await cliServer([...args, '--port', '0', '--log-level', 'warn'], { home: home.path });
    const shown = await cli(['fleet', 'status', '--device', up.url], { home: home.path });
    expect(shown.stdout).toMatch(
      /^\d+ +[0-9a-f]{12} +whole +mock-\d, mock-\d by rows, round trip [\d.]+ ms$/m,
    );
    await using away = await connect(up.url);
    const [stored] = await away.models.list();
    const there = await away.models.load(stored!.digest);
    expect(await whole(there, MODES.greedy)).toEqual(await whole(reference, MODES.greedy));
  });
});
