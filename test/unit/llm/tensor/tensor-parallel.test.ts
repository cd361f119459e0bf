import { afterAll, describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../../errors/index.js';
import { computeTensor, DEFAULT_LINK, fleetModel } from '../../../../fleet/index.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { largestPart, type TensorCut } from '../../../../llm/tensor/cut.js';
import { Lane } from '../../../../llm/tensor/lane.js';
import { LaneMemory } from '../../../../llm/tensor/lane-memory.js';
import { stepTogether } from '../../../../llm/tensor/tensor-member.js';
import { boardsOf } from '../../fleet/models.js';
import { Bench } from '../models.js';
import { family, openSource, type PlainColumn } from './members.js';
import { cutsOf, MembersAgainstOne, MIXED, REQUESTS, TINY, WIDE } from './same-as-one.js';

const members = new MembersAgainstOne();
afterAll(() => members.threads.close());

describe('a model of which several boards have rows', () => {
  // test/long has more of them.
  it.each([
    ['wide heads', WIDE, 3],
    ['mixed types', MIXED, 2],
  ] as const)('%s gives the bits of one board', (_, source, count) =>
    members.expectSameOfAllCuts(source, count),
  );

  it('gives them where boards are not equally fast, and messages hold but a column', async () => {
    const [cut] = cutsOf(WIDE, 3, [3, 1, 2]);
    const { headDim } = fleetModel(openSource(WIDE)).memory;
    await members.expectSame({ source: WIDE, cut, capacity: largestPart(cut, headDim, 1), maxColumns: 5 });
  });

  it.each(['gemma2-f16.gguf', 'qwen2-d96-Q4_K_M.gguf'])('%s, too', async (file) => {
    const source = family(file);
    await members.expectSame({ source, cut: cutsOf(source, 2)[1] });
  });

  it.each(['olmo2-f16.gguf', 'lfm2-f16.gguf', 'qwen3moe-f16.gguf'])('%s is refused', (file) => {
    expect(() => cutsOf(family(file), 2)).toThrowError(
      expect.objectContaining({ code: 'FLEET_TENSOR_UNSUPPORTED' }),
    );
  });

  it('exchanges as often, and as many bytes, as the plan says', async () => {
    const model = fleetModel(openSource(WIDE));
    for (const [count, columns] of [
      [2, 1],
      [4, 3],
    ] as const) {
      const boards = boardsOf(count, 'pynq-z1');
      const plan = computeTensor(model, boards, { link: DEFAULT_LINK, columns });
      const cut = { ...plan, shares: plan.boards.map(({ share }) => share) };
      const step = Array.from({ length: columns }, (_, i): PlainColumn => [i, 5 + i, 0, true]);
      const reports = await members.expectSame({ source: WIDE, cut }, { steps: [step] });
      expect(reports.map(({ exchanges }) => exchanges)).toEqual(boards.map(() => plan.exchanges));
      expect(reports.map(({ bytes }) => bytes)).toEqual(plan.boards.map(({ sentBytes }) => sentBytes));
    }
  });
});

describe('an engine whose model several boards compute', () => {
  // test/long has more of them.
  it('generates the same with int8 keys and values on 2', () => members.expectSameTokens(2, 'int8'));

  it('generates the same where boards have more heads than others, and give room to each other', async () => {
    const [cut] = cutsOf(WIDE, 3);
    expect(cut.shares.map(({ kvHeads }) => kvHeads.count)).toEqual([1, 2, 1]);
    // Pages of 16 tokens, of 2 layers with 2 heads of 64 values, keys and values as halves: room for six.
    const settings = { source: WIDE, cut, kvBytes: 6 * 16 * 2 * 2 * 64 * 2 * 2 };
    const all = [...REQUESTS, ...REQUESTS.slice(1, 3)];
    const [{ outcomes }] = await members.expectSame(settings, { requests: all, engine: {} });
    expect(outcomes.map(({ error }) => error)).toEqual(all.map(() => undefined));
  });

  it('tries a matrix again at which a device failed', async () => {
    const [cut] = cutsOf(TINY, 2);
    const requests = REQUESTS.slice(0, 2).map((request) => ({ ...request, maxTokens: 3 }));
    for (const member of [0, 1]) {
      const settings = { source: TINY, cut, fails: { member, times: 1 } };
      const reports = await members.expectSame(settings, { requests, engine: {} });
      expect(reports.map(({ faults }) => faults)).toEqual(
        [0, 1].map((i) => (i === member ? { faults: 1, recovered: 1 } : { faults: 0, recovered: 0 })),
      );
    }
  });

  it('ends all it has where a device fails twice, and tells the others', async () => {
    const [cut] = cutsOf(TINY, 2);
    for (const member of [0, 1]) {
      const settings = { source: TINY, cut, fails: { member, times: 2 } };
      const reports = await members.threads.run(settings, { requests: REQUESTS.slice(0, 2), engine: {} });
      const first = member === 0 ? 'FLEET_TENSOR_DEVICE' : 'FLEET_TENSOR_ENDED';
      // The second request may have had no part in that step.
      const [prompted, other] = reports[0].outcomes.map(({ error }) => error);
      expect(prompted).toBe(first);
      expect(['FLEET_TENSOR_DEVICE', 'FLEET_TENSOR_ENDED']).toContain(other);
      expect(reports[1].error?.code).toBe(member === 0 ? 'FLEET_TENSOR_ENDED' : 'FLEET_TENSOR_DEVICE');
      expect(reports[member].faults).toEqual({ faults: 1, recovered: 0 });
    }
  });

  it('ends all it has where a member is silent, after the deadline', async () => {
    const [cut] = cutsOf(TINY, 3);
    const settings = { source: TINY, cut, silent: 1, deadlineMs: 1_500 };
    const reports = await members.threads.run(settings, { requests: REQUESTS.slice(0, 2), engine: {} });
    expect(reports[0].outcomes.map(({ error }) => error)).toEqual([
      'FLEET_TENSOR_SILENT',
      'FLEET_TENSOR_SILENT',
    ]);
    expect(reports[2].error?.code).toBe('FLEET_TENSOR_SILENT');
  });
});

describe('a lane', () => {
  const pair = () => {
    const memory = LaneMemory.create(2, 64);
    const lane = new Lane(memory, 0, { deadlineMs: 50 });
    const put = (batch: number, length: number) =>
      memory.put(1, { number: 0, batch, forFirst: false, bytes: new Uint8Array(length) });
    return { memory, lane, put };
  };
  const thrown = (code: string) => expect.objectContaining({ code });

  it('refuses results of another batch, or of another size, and has ended', () => {
    for (const [batch, length] of [
      [1, 4],
      [0, 8],
    ]) {
      const { memory, lane, put } = pair();
      put(batch, length);
      expect(() => lane.toAll(new Uint8Array(4), [4, 4])).toThrowError(thrown('FLEET_TENSOR_OUT_OF_STEP'));
      expect(memory.ended).toEqual({ silent: undefined });
      expect(() => lane.toAll(new Uint8Array(4), [4, 4])).toThrowError(thrown('FLEET_TENSOR_ENDED'));
    }
  });

  it('waits as long as its deadline, says who was silent, and tells the others', () => {
    const { memory, lane } = pair();
    const other = new Lane(memory, 1, { deadlineMs: 1e9 });
    const since = performance.now();
    expect(() => lane.toAll(new Uint8Array(4), [4, 4])).toThrowError(thrown('FLEET_TENSOR_SILENT'));
    expect(performance.now() - since).toBeGreaterThanOrEqual(49);
    expect(() => other.toFirst(new Uint8Array(4), [4, 4])).toThrowError(
      expect.objectContaining({ context: expect.objectContaining({ member: 1 }) }),
    );
  });
});

describe('a part of a model', () => {
  const [cut] = cutsOf(TINY, 2);
  const load = (options: object, other: Partial<TensorCut> = {}) => {
    const gather = new Lane(LaneMemory.create(2, 4096), 0, { deadlineMs: 1 });
    loadModel(openSource(TINY), {
      coreTypes: 'exact',
      part: { cut: { ...cut, ...other }, gather },
      ...options,
    });
  };
  const refused = expect.objectContaining({ code: 'FLEET_TENSOR_SHARE' });

  it('is refused with other types on cores, or another arithmetic', () => {
    expect(() => load({ coreTypes: 'padded' })).toThrowError(refused);
    expect(() => load({ floatActivations: true })).toThrowError(refused);
  });

  it('is refused where the cut is of other boards, leaves rows out, or cuts through super-blocks', () => {
    const [a, b] = cut.shares;
    expect(() => load({}, { shares: [a, b, b] })).toThrowError(refused);
    const short = { ...b, feedForward: { ...b.feedForward, count: b.feedForward.count - 256 } };
    expect(() => load({}, { shares: [a, short] })).toThrowError(refused);
    expect(() => load({}, { attended: 'q8' })).toThrowError(refused);
    expect(() => load({}, { shares: [{ ...a, kvHeads: { first: 0, count: 2 } }, b] })).toThrowError(refused);
  });

  it('ends for all, and leaves nobody waiting, where the others cannot be told of a step', () => {
    const memory = LaneMemory.create(2, 4096);
    const gather = new Lane(memory, 0, { deadlineMs: 1e9 });
    const model = loadModel(openSource(TINY), { coreTypes: 'exact', part: { cut, gather } });
    const bench = new Bench(model, { isMirrored: true });
    const { engine } = bench;
    const { received } = bench.submit({ prompt: [1, 2], maxTokens: 2 });
    const away = new PynqLlmError('FLEET_TENSOR_ENDED', 'The link is gone.');
    const tell = () => {
      throw away;
    };
    expect(stepTogether(engine, gather, tell)).toBe(true);
    expect(received.error).toBe(away);
    expect([engine.count, engine.hasWork]).toEqual([0, false]);
    const other = new Lane(memory, 1, { deadlineMs: 1e9 });
    expect(() => other.toAll(new Uint8Array(4), [4, 4])).toThrowError(/FLEET_TENSOR_ENDED/);
    expect(model.kvPool.memory.freeFrames).toBe(model.kvPool.memory.frames);
    model.close();
  });
});
