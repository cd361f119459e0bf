import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type GenerateOptions, type Token } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { cli, cliServer } from './support/cli.js';
import {
  expectManyAlike,
  type FleetBesideOne,
  fleetBesideOne,
  modesOf,
  wholeOf,
} from './support/fleet-beside-one.js';

const OTHER = 'models/tiny-stories-Q2_K.gguf';
const PROMPT = 'Once upon a time';
const MODES = {
  ...modesOf(24),
  beams: { maxTokens: 8, temperature: 0, beams: { width: 3 } },
} as const;
const LONG: GenerateOptions = { maxTokens: 40, temperature: 1, seed: 5, ignoreEos: true, window: 4 };
/** Layers of each stage, and its boards. */
const CUT = [
  [0, 2],
  [0, 2],
  [2, 3],
  [2, 3],
];

let both: FleetBesideOne;
let { reference, fleet, board, model } = {} as FleetBesideOne;
beforeAll(async () => {
  const tensor = { boards: 2, isForced: true };
  both = await fleetBesideOne({ boards: 4, pipeline: 2, tensor, hopMs: 30_000, maxWaitMs: 60_000 });
  ({ reference, fleet, board, model } = both);
}, 120_000);
afterAll(() => both?.[Symbol.asyncDispose]());

const whole = (of: FleetBesideOne['model'], options: GenerateOptions) => wholeOf(of, PROMPT, options);
const planNow = async () => (await board.fleetStatus()).plans?.find(({ state }) => state === 'whole');
const cutNow = async () => (await planNow())?.stages.map(({ from, to }) => [from, to]);
/** Where layers are cut goes by the links that were measured, which others on this machine slow down. */
const stagesNow = async () => (await planNow())?.stages.map(({ stage }) => stage);
const GROUPS = [0, 0, 1, 1];

describe('a pipeline of two groups of boards, each of which cuts its layers by rows', () => {
  it('tells it, with the round trip of its links', async () => {
    const plan = await planNow();
    expect(plan).toMatchObject({ byRows: true });
    expect(plan?.stages.map(({ stage }) => stage)).toEqual(GROUPS);
    expect(await cutNow()).toEqual(CUT);
    expect(plan?.roundTripMs).toBeGreaterThan(0);
  });

  for (const [mode, options] of Object.entries(MODES))
    it(`gives the bits of one board: ${mode}`, async () => {
      expect(await whole(model, options)).toEqual(await whole(reference, options));
    });

  it('gives them to many at a time, and ends what is cancelled', async () => {
    await expectManyAlike(both, PROMPT, { count: 12, maxTokens: 8 });
  });

  it('computes several models at a time, whose batches come to a group in one order for all of its boards', async () => {
    const { redelivered } = await board.fleetStatus();
    const [other, alone] = [await board.models.upload(OTHER), await both.alone.models.upload(OTHER)];
    const options = (seed: number) => ({ maxTokens: 24, temperature: 1, seed, ignoreEos: true });
    const seeds = Array.from({ length: 12 }, (_, seed) => seed);
    const many = (of: typeof model) => Promise.all(seeds.map((seed) => whole(of, options(seed))));
    const [ones, others] = await Promise.all([many(model), many(other)]);
    expect(ones).toEqual(await many(reference));
    expect(others).toEqual(await many(alone));
    expect(await board.fleetStatus()).toMatchObject({ redelivered, diverged: 0 });
    await other.unload();
  }, 120_000);

  // With the hidden states of the first stage or the engine, and one that follows each of them.
  it.each([0, 1, 2, 3])(
    'goes on with an answer where board %i of the plan leaves in the middle of it',
    async (place) => {
      const { redelivered } = await board.fleetStatus();
      const gone = (await planNow())!.stages[place]!.board;
      const tokens: Token[] = [];
      for await (const token of model.generate(PROMPT, LONG)) {
        tokens.push(token);
        if (token.index === 16) await fleet.boards.get(gone)?.member.close();
      }
      expect(tokens).toEqual((await whole(reference, LONG)).tokens);
      expect(await board.fleetStatus()).toMatchObject({ redelivered: redelivered + 1, diverged: 0 });
      // As many whole groups as there are left.
      expect(await cutNow()).toEqual([
        [0, 3],
        [0, 3],
      ]);
      await fleet.join(gone);
      await expect.poll(stagesNow, { timeout: 60_000 }).toEqual(GROUPS);
      expect(await whole(model, MODES.greedy)).toEqual(await whole(reference, MODES.greedy));
    },
    120_000,
  );

  it('goes on where the links of one group are lost', async () => {
    const { number, stages } = (await planNow())!;
    for (const first of [0, 2]) {
      const tokens: Token[] = [];
      for await (const token of model.generate(PROMPT, LONG)) {
        tokens.push(token);
        if (token.index === 16) fleet.boards.get(stages[first]!.board)!.links!.disconnect();
      }
      expect(tokens).toEqual((await whole(reference, LONG)).tokens);
    }
    await expect.poll(stagesNow, { timeout: 60_000 }).toEqual(GROUPS);
    expect((await planNow())!.number).toBeGreaterThan(number + 1);
    expect(await board.fleetStatus()).toMatchObject({ diverged: 0 });
  }, 120_000);
});

it('is one command on the command line, which tells its cut, and takes as few groups as are needed', async () => {
  using home = temporaryDirectory();
  const statusOf = async (pipeline: string) => {
    const args = ['fleet', 'up', '--mocks', '4', '--pipeline', pipeline, '--tensor', '2', '--force-tensor'];
    const more = ['--model', TINY_MODEL, '--port', '0', '--log-level', 'warn'];
    await using up = await cliServer([...args, ...more], { home: home.path });
    await using away = await connect(up.url);
    const [stored] = await away.models.list();
    const there = await away.models.load(stored!.digest);
    expect(await whole(there, MODES.greedy)).toEqual(await whole(reference, MODES.greedy));
    return (await cli(['fleet', 'status', '--device', up.url], { home: home.path })).stdout;
  };
  expect(await statusOf('2')).toMatch(
    /^\d+ +[0-9a-f]{12} +whole +mock-\d, mock-\d by rows 0 to 1; mock-\d, mock-\d by rows 2 to 2, round trip [\d.]+ ms$/m,
  );
  // Each group can hold the model: two plans, side by side.
  const plans = (await statusOf('auto')).match(
    /^\d+ +[0-9a-f]{12} +whole +mock-\d, mock-\d by rows, round/gm,
  );
  expect(plans).toHaveLength(2);
}, 120_000);
