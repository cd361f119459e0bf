import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packHop } from '../../fleet/pipeline/hop.js';
import { hopOf } from '../../fleet/subjects.js';
import { connect, type GenerateOptions, type Model, type Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
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

let both: FleetBesideOne;
let { reference, fleet, board, model } = {} as FleetBesideOne;
beforeAll(async () => {
  both = await fleetBesideOne({ boards: 4, pipeline: 2, leaseMs: 3_000, hopMs: 5_000, maxWaitMs: 60_000 });
  ({ reference, fleet, board, model } = both);
}, 120_000);
afterAll(() => both?.[Symbol.asyncDispose]());

const whole = (of: Model, options: GenerateOptions) => wholeOf(of, PROMPT, options);

const MODES = { ...modesOf(40), 'best of beams': { maxTokens: 10, temperature: 0, beams: { width: 3 } } };

/** The plan that has a request now, and the boards of its first and its last stage. */
async function busyPlan() {
  const { boards, plans = [] } = await board.fleetStatus();
  const busy = boards.find(({ inHand }) => inHand > 0)?.name;
  const plan = plans.find(({ stages }) => stages.at(-1)?.board === busy);
  if (plan === undefined) throw new Error('a plan has the request');
  return { number: plan.number, first: plan.stages[0]!.board, last: plan.stages.at(-1)!.board };
}

/** Generates, and has something happen once at a token. */
async function wholeWith(options: GenerateOptions, at: number, happen: () => Promise<void>) {
  const tokens: Token[] = [];
  for await (const token of model.generate(PROMPT, options)) {
    tokens.push(token);
    if (token.index === at) await happen();
  }
  return tokens;
}

async function expectTwoPlans(): Promise<void> {
  await expect
    .poll(async () => (await board.fleetStatus()).plans?.map(({ state }) => state), { timeout: 60_000 })
    .toEqual(['whole', 'whole']);
}

const LONG: GenerateOptions = { maxTokens: 48, temperature: 1, seed: 5, ignoreEos: true, window: 4 };

describe('four boards as two pipelines', () => {
  it('have each layer once, and tell it', async () => {
    const { plans = [], boards } = await board.fleetStatus();
    expect(plans).toHaveLength(2);
    for (const { stages, state } of plans) {
      expect(state).toBe('whole');
      expect(stages.map(({ from, to }) => [from, to])).toEqual([
        [0, 2],
        [2, 3],
      ]);
    }
    const used = plans.flatMap(({ stages }) => stages.map((stage) => stage.board));
    expect(used.toSorted()).toEqual(['mock-1', 'mock-2', 'mock-3', 'mock-4']);
    // Two micro-batches of eight.
    const last = boards.filter(({ name }) => plans.some(({ stages }) => stages.at(-1)?.board === name));
    expect(last.map(({ places }) => places)).toEqual([16, 16]);
  });

  for (const [mode, options] of Object.entries(MODES))
    it(`give the bits of one board: ${mode}`, async () => {
      expect(await whole(model, options)).toEqual(await whole(reference, options));
    });

  it('give them to many at a time, from both pipelines, and end what is cancelled', async () => {
    await expectManyAlike(both, PROMPT, { count: 20, maxTokens: 12 });
  });

  it('score as one board does', async () => {
    const { tokens } = await whole(reference, { maxTokens: 20, temperature: 0 });
    const ids = tokens.map(({ id }) => id);
    expect(await model.score(ids)).toEqual(await reference.score(ids));
  });

  it('are compared by what their last boards generate', async () => {
    const { differences, boards } = await board.fleetVerify();
    expect(differences).toEqual([]);
    expect(boards.map(({ generations }) => generations.length).toSorted()).toEqual([0, 0, 1, 1]);
  });

  it('do without draft models: they would be on other boards', async () => {
    const drafted = model.generate(PROMPT, { maxTokens: 4, draftModel: model });
    await expect(drafted.done).rejects.toMatchObject({ code: 'FLEET_STAGE_DRAFT' });
  });
});

describe('a board of a pipeline', () => {
  it('that is lost in the middle of an answer ends the plan; the answer goes on, and hops of the old plan are refused', async () => {
    const expected = await whole(reference, LONG);
    let old: Awaited<ReturnType<typeof busyPlan>> | undefined;
    const tokens = await wholeWith(LONG, 20, async () => {
      old = await busyPlan();
      fleet.boards.get(old.first)?.cut.now();
    });
    expect(tokens).toEqual(expected.tokens);
    const after = await board.fleetStatus();
    expect(after.redelivered).toBe(1);
    expect(after.plans?.map(({ number }) => number)).not.toContain(old?.number);
    await fleet.heal();
    await expectTwoPlans();
    const { first, last, number } = old!;
    const refused = async () =>
      (await board.fleetStatus()).boards.find(({ name }) => name === last)?.refusedHops ?? 0;
    const before = await refused();
    const zombie = fleet.broker.connect('zombie');
    zombie.publish(
      hopOf(last, first),
      packHop({ model: model.digest, plan: number, kind: 'batch', number: 0, hidden: new Uint8Array(4) }),
    );
    await expect.poll(refused, { timeout: 30_000 }).toBeGreaterThan(before);
    await zombie.close();
    expect((await whole(model, LONG)).tokens).toEqual(expected.tokens);
  });

  it('with the last layers that leaves takes its requests with it: they go on elsewhere', async () => {
    const { redelivered } = await board.fleetStatus();
    let gone = '';
    const tokens = await wholeWith(LONG, 20, async () => {
      gone = (await busyPlan()).last;
      await fleet.boards.get(gone)?.member.close();
    });
    expect(tokens).toEqual((await whole(reference, LONG)).tokens);
    expect((await board.fleetStatus()).redelivered).toBe(redelivered + 1);
    await fleet.join(gone);
    await expectTwoPlans();
  });

  it('whose hidden states get lost on their way holds nobody up for longer than a hop may take', async () => {
    let first = '';
    const { plans = [] } = await board.fleetStatus();
    const tokens = await wholeWith(LONG, 20, async () => {
      first = (await busyPlan()).first;
      let isLost = false;
      fleet.boards.get(first)!.cut.losesPublished = (subject) => {
        if (isLost || !subject.startsWith('FLEET.stage.')) return false;
        isLost = true;
        return true;
      };
    });
    expect(tokens).toEqual((await whole(reference, LONG)).tokens);
    await expectTwoPlans();
    const numbers = (await board.fleetStatus()).plans?.map(({ number }) => number);
    expect(numbers).not.toEqual(plans.map(({ number }) => number));
    expect((await board.fleetStatus()).diverged).toBe(0);
  });
});

describe('a fleet that cuts its models', () => {
  it('unloads them from all of their boards, and loads them again', async () => {
    await model.unload();
    const { plans, boards } = await board.fleetStatus();
    expect(plans).toEqual([]);
    expect(boards.flatMap(({ models }) => models)).toEqual([]);
    model = await board.models.load(model.digest, { contextLength: 256, kvType: 'int8' });
    await expectTwoPlans();
    await expect(board.models.load(model.digest, { contextLength: 128 })).rejects.toMatchObject({
      code: 'AGENT_MODEL_LOADED_OTHERWISE',
    });
    expect(model.info).toMatchObject({ contextLength: 256, keyValues: { type: 'int8' } });
    await using other = await openMock();
    const int8 = await other.models.upload(TINY_MODEL, { contextLength: 256, kvType: 'int8' });
    const long = { ...MODES.sampled, maxTokens: 64, ignoreEos: true };
    expect(await whole(model, long)).toEqual(await whole(int8, long));
  });

  it('is one command on the command line, and tells its plans there', async () => {
    using home = temporaryDirectory();
    const args = ['fleet', 'up', '--mocks', '4', '--pipeline', '2', '--model', TINY_MODEL, '--port', '0'];
    await using up = await cliServer([...args, '--log-level', 'warn'], { home: home.path });
    const shown = await cli(['fleet', 'status', '--device', up.url], { home: home.path });
    expect(shown.stdout).toMatch(/^\d+ +[0-9a-f]{12} +whole +mock-\d 0 to 1, mock-\d 2 to 2$/m);
    await using away = await connect(up.url);
    const [stored] = await away.models.list();
    const there = await away.models.load(stored!.digest);
    expect(await whole(there, MODES.greedy)).toEqual(await whole(reference, MODES.greedy));
  });

  it('has all of a model on one board, until others come: in the middle of an answer', async () => {
    await using few = await testFleet({ boards: 1, pipeline: 3, maxWaitMs: 60_000 });
    await using client = await connect(few.url);
    const { digest } = await client.models.store(TINY_MODEL);
    const there = await client.models.load(digest);
    const sizes = async () => (await client.fleetStatus()).plans?.map(({ stages }) => stages.length);
    expect(await sizes()).toEqual([1]);
    const tokens: Token[] = [];
    for await (const token of there.generate(PROMPT, LONG)) {
      tokens.push(token);
      if (token.index === 12) await Promise.all(['mock-2', 'mock-3'].map((name) => few.join(name)));
      if (token.index === 12) await expect.poll(sizes, { timeout: 30_000 }).toEqual([3]);
    }
    expect(tokens).toEqual((await whole(reference, LONG)).tokens);
    expect(await client.fleetStatus()).toMatchObject({ redelivered: 1, diverged: 0 });
    const { plans } = await client.fleetStatus();
    expect(plans?.[0]?.stages.map(({ from, to }) => [from, to])).toEqual([
      [0, 1],
      [1, 2],
      [2, 3],
    ]);
  });

  it('says why a model does not fit, and has nothing of it then', async () => {
    await using small = await testFleet({ boards: 2, pipeline: 2 });
    await using client = await connect(small.url);
    const { digest } = await client.models.store(TINY_MODEL);
    await expect(client.models.load(digest, { kvBytes: 2 ** 32 })).rejects.toMatchObject({
      code: 'FLEET_PLAN_DOES_NOT_FIT',
    });
    expect((await client.models.get(digest)).state).toBe('stored');
  });

  it('takes a board whose device fails at a batch twice out of its plans', async () => {
    await using some = await testFleet({
      boards: 3,
      pipeline: 2,
      maxWaitMs: 60_000,
      deviceOf: (name) => (name === 'mock-1' ? 'mock:?fault=dma-slave-error:60:1000' : 'mock:'),
    });
    await using client = await connect(some.url);
    const there = await client.models.upload(TINY_MODEL);
    const boards = async () =>
      (await client.fleetStatus()).plans?.flatMap(({ stages }) => stages.map((stage) => stage.board));
    expect(await boards()).toEqual(['mock-1', 'mock-2']);
    expect((await whole(there, LONG)).tokens).toEqual((await whole(reference, LONG)).tokens);
    expect(await client.fleetStatus()).toMatchObject({ redelivered: 1, diverged: 0 });
    expect(await boards()).not.toContain('mock-1');
  });
});
