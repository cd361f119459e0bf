import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { connect, measureLosses, planOnBoard } from '../../sdk/index.js';
import { temporaryDirectory, testAgent } from './support/agent.js';
import { cli } from './support/cli.js';

const FILE = join('test', 'fixtures', 'families', 'qwen2-d96-Q4_K_M.gguf');
const directory = temporaryDirectory();
afterAll(() => directory[Symbol.dispose]());
const run = (args: readonly string[]) => cli(args, { home: directory.path });

interface Inspected {
  readonly runs: { readonly onCore: number };
  readonly placement: {
    readonly tensors: {
      readonly name: string;
      readonly placement: string;
      readonly form?: string;
      readonly extraBytes?: number;
      readonly loss?: number;
    }[];
    readonly tokenCycles: { readonly words: number };
  };
}

describe.concurrent('inspect', () => {
  const inspected = async (...args: string[]) =>
    JSON.parse((await run(['inspect', FILE, '--json', ...args])).stdout) as Inspected;

  it.each([{ where: [] }, { where: ['--board', 'pynq-z1'] }])(
    'says what goes to the core in which form, with its bytes and its loss, asked with $where',
    async ({ where }) => {
      const { runs, placement } = await inspected(...where);
      expect(runs.onCore).toBeGreaterThan(0.8);
      const others = placement.tensors.filter(({ form }) => form !== undefined);
      expect(new Set(others.map(({ form }) => form))).toEqual(new Set(['Q6_K', '2 x Q6_K']));
      for (const { placement, extraBytes, loss } of others) {
        expect(placement).toBe('resident');
        expect(extraBytes).toBeGreaterThan(0);
        expect(loss).toBeGreaterThan(1e-5);
        expect(loss).toBeLessThan(2e-3);
      }
    },
  );

  it('follows --exact-types and --core-types', async () => {
    const [exact, all] = await Promise.all([inspected('--exact-types'), inspected('--core-types', 'all')]);
    expect(exact.runs.onCore).toBeLessThan(0.25);
    expect(exact.placement.tensors.some(({ form }) => form !== undefined)).toBe(false);
    expect(all.runs.onCore).toBe(1);
    expect(all.placement.tokenCycles.words).toBeGreaterThan(exact.placement.tokenCycles.words);
  });

  it('has it in its table', async () => {
    const { stdout } = await run(['inspect', FILE]);
    expect(stdout).toMatch(
      /blk\.0\.attn_q\.weight +Q5_0 +96 x 96 +resident as Q6_K +[\d.]+ \w+ +\+[\d.]+ \w+ +\d\.\de-4/,
    );
    expect(stdout).toMatch(
      /in another form +\d+ tensors, \+[\d.]+ \w+, loss of weights \(relative RMS\) at most/,
    );
  });

  it.each([
    [['--core-types', 'most'], /Allowed choices are exact, padded, all/],
    [['--core-types', 'all', '--exact-types'], /cannot be used with/],
  ])('%j is wrong usage', async (flags, why) => {
    const { status, stderr } = await run(['inspect', FILE, ...flags]);
    expect(status).toBe(2);
    expect(stderr).toMatch(why);
  });
});

describe('which matrices go to the core', () => {
  it('is the agent’s to say where a load says nothing, and cannot be another while the model is loaded', async () => {
    await using agent = await testAgent({ coreTypes: 'exact' });
    await using board = await connect(agent.url);
    const model = await board.models.upload(FILE);
    expect(model.placement.tensors.some(({ form }) => form !== undefined)).toBe(false);
    await expect(board.models.load(model.digest, { coreTypes: 'all' })).rejects.toMatchObject({
      code: 'AGENT_MODEL_LOADED_OTHERWISE',
    });
    const plan = await board.models.plan(
      model.placement.tensors.map(({ name, type, rows, columns }) => ({ name, type, rows, columns })),
      { coreTypes: 'all' },
    );
    expect(plan.totals.cpu.tensors).toBe(0);
    await board.models.unload(model.digest);
    const all = await board.models.load(model.digest, { coreTypes: 'all' });
    expect(all.placement.totals.cpu.weights).toBe(0);
    const text = await all.generate({ tokens: [5, 6, 7] }, { maxTokens: 4, temperature: 0 }).text();
    expect(typeof text).toBe('string');
  });

  it('is refused where it is no known word, by the agent and in a plan without one', async () => {
    await using board = await connect('mock:', { storeDir: directory.path });
    const model = await board.models.store(FILE);
    await expect(board.models.load(model.digest, { coreTypes: 'most' as 'all' })).rejects.toMatchObject({
      code: 'PROTOCOL_BAD_PARAMS',
    });
    await expect(planOnBoard(FILE, 'pynq-z1', { coreTypes: 'most' as 'all' })).rejects.toMatchObject({
      code: 'LLM_CORE_TYPES',
    });
  });

  it('loses what is measured of the file', async () => {
    const { tensors } = await planOnBoard(FILE, 'pynq-z1', { coreTypes: 'all' });
    const losses = await measureLosses(FILE, tensors);
    expect(losses.size).toBeGreaterThan(10);
    expect(Math.max(...losses.values())).toBeLessThan(2e-3);
  });
});
