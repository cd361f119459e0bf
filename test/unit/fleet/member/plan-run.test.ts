import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { AgentStages } from '../../../../agent/index.js';
import { type Bus, InProcessBroker } from '../../../../bus/index.js';
import { PynqLlmError } from '../../../../errors/index.js';
import { type PlanGroup, PlanRun } from '../../../../fleet/member/plan-run.js';
import { fromBytes, type Hop, readHop, toBytes } from '../../../../fleet/pipeline/hop.js';
import type { Plan } from '../../../../fleet/pipeline/plan-record.js';
import { hopsTo } from '../../../../fleet/subjects.js';
import type { StageBatch } from '../../../../llm/index.js';

const MODEL = 'ab'.repeat(32);
const WIDTH = 4;
const PLAN: Plan = {
  number: 7,
  model: MODEL,
  stages: ['a', 'b', 'c'].map((board, i) => ({
    from: i,
    to: i + 1,
    boards: [{ board, owner: `o-${board}`, kvBytes: 8, working: { staged: false, resultBytes: 64 } }],
  })),
  settings: {},
  kvPool: { frames: 8, groups: { full: 1, windowed: 0 }, window: 0, keptRowFrames: 0, rowFrames: 0 },
  width: WIDTH,
  hopMs: 200,
};
const batchOf = (number: number): StageBatch => ({
  number,
  changes: [{ kind: 'reserve', cache: 0, length: 1, reached: 1 }],
  columns: [{ cache: 0, token: 5, position: number, wantsLogits: true }],
  freeFrames: 3,
});
const hopOf = (number: number, hidden?: Float32Array): Hop => ({
  model: MODEL,
  plan: 7,
  kind: 'batch',
  number,
  batch: batchOf(number),
  ...(hidden && { hidden: toBytes(hidden) }),
});
const STATES = Float32Array.of(1, 2, 3, 4);

/** What the device's thread is told, and what it answers. */
class Device implements Pick<AgentStages, 'begin' | 'end' | 'run' | 'complete'> {
  listener: Parameters<AgentStages['begin']>[2] | undefined;
  readonly ended: PynqLlmError[] = [];
  readonly completed: { number: number; hidden: number[] }[] = [];
  compute: (hidden: Float32Array | undefined) => Promise<Float32Array> = async (hidden) =>
    (hidden ?? new Float32Array(WIDTH)).map((value) => value + 1);
  begin(...[, , listener]: Parameters<AgentStages['begin']>): void {
    this.listener = listener;
  }
  end(...[, , error]: Parameters<AgentStages['end']>): void {
    this.ended.push(error);
  }
  run(...[, , , hidden]: Parameters<AgentStages['run']>): Promise<Float32Array> {
    return this.compute(hidden);
  }
  complete(...[, , number, hidden]: Parameters<AgentStages['complete']>): void {
    this.completed.push({ number, hidden: [...hidden] });
  }
}

let buses: Map<string, Bus>;
let heard: { to: string; from: string; hop: Hop }[];
let lost: PynqLlmError[];
let device: Device;
beforeEach(async () => {
  const broker = new InProcessBroker();
  buses = new Map(['a', 'b', 'c'].map((name) => [name, broker.connect(name)]));
  heard = [];
  lost = [];
  device = new Device();
  for (const [to, bus] of buses)
    await bus.subscribe(hopsTo(to), ({ subject, data }) => {
      heard.push({ to, from: subject.split('.').at(-1)!, hop: readHop(data) });
    }).ready;
});
afterEach(async () => {
  for (const bus of buses.values()) await bus.close();
});
const before = { b: 'a', c: 'b' };
const runOf = (board: 'a' | 'b' | 'c', group?: PlanGroup) =>
  new PlanRun({
    bus: buses.get(board)!,
    stages: device,
    board,
    plan: PLAN,
    index: ['a', 'b', 'c'].indexOf(board),
    group,
    onLost: (error) => lost.push(error),
  });

it('a stage computes what the one before sends, and gives it to the one behind, in order', async () => {
  const run = runOf('b');
  expect(run.take(hopOf(0, STATES), 'a')).toBe(true);
  expect(run.take(hopOf(1, STATES), 'a')).toBe(true);
  await vi.waitFor(() => expect(heard).toHaveLength(2));
  for (const [number, { to, from, hop }] of heard.entries()) {
    expect([to, from]).toEqual(['c', 'b']);
    if (hop.kind !== 'batch') throw new Error('a batch is sent');
    expect(hop.number).toBe(number);
    // The last stage has the batch.
    expect(hop.batch).toBeUndefined();
    expect([...fromBytes(hop.hidden!)]).toEqual([2, 3, 4, 5]);
  }
  expect(lost).toEqual([]);
});

it('the first stage makes the states, and passes the batch on; the last one begins and completes', async () => {
  const first = runOf('a');
  expect(first.take(hopOf(0), 'c')).toBe(true);
  await vi.waitFor(() => expect(heard).toHaveLength(1));
  expect(heard[0]).toMatchObject({ to: 'b', hop: { number: 0, batch: batchOf(0) } });
  const last = runOf('c');
  device.listener?.onBatch(batchOf(0));
  await vi.waitFor(() => expect(heard).toHaveLength(2));
  expect(heard[1]).toMatchObject({ to: 'a', from: 'c', hop: { number: 0, batch: batchOf(0) } });
  expect(last.take(hopOf(0, STATES), 'b')).toBe(true);
  expect(device.completed).toEqual([{ number: 0, hidden: [1, 2, 3, 4] }]);
  first.end(lostBecause('over'));
  last.end(lostBecause('over'));
});

it.each(['b', 'c'] as const)(
  'boards of the same stage hear of a batch at %s when its turn comes there, not before',
  (board) => {
    const told: [number, number[]][] = [];
    const group: PlanGroup = {
      sendBatch: ({ number }, hidden) => told.push([number, [...(hidden ?? [])]]),
      end: () => {},
    };
    const run = runOf(board, group);
    if (board === 'c') for (const number of [0, 1]) device.listener?.onBatch(batchOf(number));
    for (const number of [0, 1])
      run.take(
        hopOf(
          number,
          STATES.map((value) => value + number),
        ),
        before[board],
      );
    expect(told).toEqual([]);
    device.listener?.onTurn?.(0);
    expect(told).toEqual([[0, [1, 2, 3, 4]]]);
    // Once each.
    device.listener?.onTurn?.(0);
    device.listener?.onTurn?.(1);
    expect(told.slice(1)).toEqual([[1, [2, 3, 4, 5]]]);
    run.end(lostBecause('over'));
    expect(lost).toEqual([]);
  },
);

it('hops of another plan or model, or from who is not the stage before, are refused and change nothing', () => {
  const run = runOf('b');
  expect(run.take({ ...hopOf(0, STATES), plan: 6 }, 'a')).toBe(false);
  expect(run.take({ ...hopOf(0, STATES), model: 'cd'.repeat(32) }, 'a')).toBe(false);
  expect(run.take(hopOf(0, STATES), 'c')).toBe(false);
  expect(run.take({ model: MODEL, plan: 7, kind: 'failed', error: lostBecause('x').toWire() }, 'a')).toBe(
    false,
  );
  expect(lost).toEqual([]);
  run.end(lostBecause('over'));
  expect(run.take(hopOf(0, STATES), 'a')).toBe(false);
});

it.each<[string, (run: PlanRun) => void, RegExp]>([
  ['a gap', (run) => run.take(hopOf(1, STATES), 'a'), /batch 1 came where 0 was due/],
  [
    'too few values',
    (run) => run.take(hopOf(0, STATES.subarray(1)), 'a'),
    /12 bytes came for 1 columns of 4/,
  ],
  [
    'a batch of another number',
    (run) => run.take({ ...hopOf(0, STATES), kind: 'batch', batch: batchOf(3), number: 0 }, 'a'),
    /another number inside/,
  ],
])('%s ends the plan, and the last stage is told', async (_, take, why) => {
  take(runOf('b'));
  await vi.waitFor(() => expect(heard).toHaveLength(1));
  expect(lost).toMatchObject([{ code: 'FLEET_STAGE_LOST', message: expect.stringMatching(why) }]);
  expect(heard[0]).toMatchObject({ to: 'c', hop: { kind: 'failed', error: { code: 'FLEET_STAGE_LOST' } } });
  expect(device.ended).toHaveLength(1);
});

it('a stage that fails, or takes too long, ends the plan', async () => {
  device.compute = async () => {
    throw new PynqLlmError('DRIVER_DMA_TIMEOUT', 'The core says nothing.');
  };
  runOf('b').take(hopOf(0, STATES), 'a');
  await vi.waitFor(() => expect(lost).toHaveLength(1));
  expect(lost[0]).toMatchObject({
    code: 'FLEET_STAGE_LOST',
    message: expect.stringContaining('The core says nothing'),
  });
  device.compute = () => new Promise(() => {});
  runOf('b').take(hopOf(0, STATES), 'a');
  await vi.waitFor(() => expect(lost).toHaveLength(2), 10_000);
  expect(lost[1]?.message).toContain('was not computed within 200 ms');
});

it('what does not come back to the last stage in time, or is said to have failed, ends what runs there', async () => {
  runOf('c');
  device.listener?.onBatch(batchOf(0));
  await vi.waitFor(() => expect(lost).toHaveLength(1), 10_000);
  expect(lost[0]?.message).toContain('batch 0 was not back within 600 ms');
  const run = runOf('c');
  expect(run.take({ model: MODEL, plan: 7, kind: 'failed', error: lostBecause('fire').toWire() }, 'a')).toBe(
    true,
  );
  expect(lost[1]?.message).toContain('fire');
  expect(device.ended).toHaveLength(2);
});

function lostBecause(why: string): PynqLlmError {
  return new PynqLlmError('FLEET_STAGE_LOST', `${why}.`);
}
