import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { AgentStages } from '../../../../agent/index.js';
import { type Bus, InProcessBroker, type KeyValue } from '../../../../bus/index.js';
import { PynqLlmError } from '../../../../errors/index.js';
import type { MemberAgent } from '../../../../fleet/member/agent-link.js';
import { Stages } from '../../../../fleet/member/stages.js';
import { type PlanRecord, packPlan } from '../../../../fleet/pipeline/plan-record.js';
import { PLANS } from '../../../../fleet/subjects.js';
import { silentLog } from '../../../../listen/index.js';

const [A, B] = ['a'.repeat(64), 'b'.repeat(64)];
const OWNER = 'o-me';

interface Load {
  readonly model: string;
  readonly layers: readonly number[];
  readonly signal: AbortSignal;
  end(): void;
}

/** The agent's part, whose loads end when a test says so, or by their signals. */
class Device implements Pick<AgentStages, 'load' | 'unload' | 'hasFile' | 'begin' | 'end' | 'onLost'> {
  readonly loads: Load[] = [];
  readonly unloaded: string[] = [];
  load(
    ...[{ model }, { from, to }, , signal]: Parameters<AgentStages['load']>
  ): ReturnType<AgentStages['load']> {
    return new Promise((resolve, reject) => {
      const end = () => resolve({} as Awaited<ReturnType<AgentStages['load']>>);
      this.loads.push({ model, layers: [from, to], signal, end });
      signal.addEventListener('abort', () => reject(new PynqLlmError('FLEET_STAGE_LOST', 'It is over.')));
    });
  }
  async unload(model: string): Promise<void> {
    this.unloaded.push(model);
  }
  hasFile = async () => true;
  begin = () => {};
  end = () => {};
  onLost = () => () => {};
}

/** A plan of two stages, of which this board has the first. */
const planOf = (model: string, to: number, owner = OWNER): Uint8Array => {
  const stageOf = (board: string, from: number, end: number) => ({
    from,
    to: end,
    boards: [{ board, owner: board === 'me' ? owner : 'o-other', kvBytes: 8, working: WORKING }],
  });
  const record: PlanRecord = {
    model,
    stages: [stageOf('me', 0, to), stageOf('other', to, 8)],
    settings: {},
    kvPool: { frames: 8, groups: { full: 1, windowed: 0 }, window: 0, keptRowFrames: 0, rowFrames: 0 },
    width: 4,
    hopMs: 200,
  };
  return packPlan(record);
};
const WORKING = { staged: false, resultBytes: 64 };

let bus: Bus;
let plans: KeyValue;
let device: Device;
let stages: Stages;
beforeEach(async () => {
  bus = new InProcessBroker().connect('me');
  await bus.declareBucket({ name: PLANS, maxBytes: 0 });
  plans = bus.bucket(PLANS);
  device = new Device();
  const agent = { stages: device } as unknown as MemberAgent;
  stages = new Stages({ bus, agent, log: silentLog, name: 'me', onChange: () => {} });
  await stages.ready;
});
afterEach(async () => {
  stages.close();
  await bus.close();
});
const asked = () => device.loads.map(({ model, layers }) => [model, layers[1]]);
const states = () => stages.list().map(({ digest, attempt, state }) => [digest, attempt, state]);

it('of a model’s plans loads the one with the greatest number that has this owner of the board', async () => {
  await plans.put(`${A}.0`, planOf(A, 5));
  const number = await plans.put(`${A}.1`, planOf(A, 3));
  await plans.put(`${A}.2`, planOf(A, 4, 'o-before'));
  stages.setOwner(OWNER);
  await vi.waitFor(() => expect(asked().at(-1)).toEqual([A, 3]));
  device.loads.at(-1)!.end();
  await vi.waitFor(() => expect(states()).toEqual([[A, number, 'loaded']]));
  expect(device.loads.slice(0, -1).every(({ signal }) => signal.aborted)).toBe(true);
});

it('loads plans of several models one after the other, by their numbers, on every board alike', async () => {
  stages.setOwner(OWNER);
  // By keys they have another order.
  await plans.put(`${B}.0`, planOf(B, 3));
  const later = await plans.put(`${A}.0`, planOf(A, 4));
  await vi.waitFor(() => expect(stages.list()).toHaveLength(2));
  await vi.waitFor(() => expect(asked()).toEqual([[B, 3]]));
  device.loads[0]!.end();
  await vi.waitFor(() =>
    expect(asked()).toEqual([
      [B, 3],
      [A, 4],
    ]),
  );
  // Without the lease there are none, and with it again in the same order.
  stages.setOwner(undefined);
  expect(states()).toEqual([]);
  stages.setOwner(OWNER);
  await vi.waitFor(() => expect(asked().slice(2)).toEqual([[B, 3]]));
  device.loads[2]!.end();
  await vi.waitFor(() => expect(asked().slice(3)).toEqual([[A, 4]]));
  device.loads[3]!.end();
  await vi.waitFor(() => expect(states().at(-1)).toEqual([A, later, 'loaded']));
});

it('stops loading a plan that is replaced, and loads the next', async () => {
  stages.setOwner(OWNER);
  await plans.put(`${A}.0`, planOf(A, 3));
  await vi.waitFor(() => expect(asked()).toEqual([[A, 3]]));
  const number = await plans.put(`${A}.0`, planOf(A, 4));
  await vi.waitFor(() =>
    expect(asked()).toEqual([
      [A, 3],
      [A, 4],
    ]),
  );
  expect(device.loads.map(({ signal }) => signal.aborted)).toEqual([true, false]);
  device.loads[1]!.end();
  await vi.waitFor(() => expect(states()).toEqual([[A, number, 'loaded']]));
  // Its end stops what loads, too, and what is left is unloaded.
  await plans.put(`${A}.0`, planOf(A, 5));
  await vi.waitFor(() => expect(device.loads).toHaveLength(3));
  await plans.delete(`${A}.0`);
  await vi.waitFor(() => expect(device.unloaded).toEqual([A]));
  expect(device.loads[2]!.signal.aborted).toBe(true);
});
