import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openBoard } from '../../../agent/boards/open-board.js';
import { DeviceService } from '../../../agent/worker/device-service.js';
import type { DeviceMethod, DeviceParams } from '../../../agent/worker-link/methods.js';
import type { FromStage } from '../../../agent/worker-link/stage-messages.js';
import { bytesSource, openGguf } from '../../../gguf/index.js';
import { kvShapeOfStage, modelShape, stageMemory, stagePool } from '../../../llm/index.js';
import type { GenerateEvent } from '../../../protocol/index.js';

const PATH = 'models/tiny-stories-Q3_K_M.gguf';
const MODEL = 'a'.repeat(64);
const RANGES = [
  { from: 0, to: 2 },
  { from: 2, to: 3 },
] as const;
const shape = modelShape(openGguf(bytesSource(readFileSync(PATH))));
const scratch = mkdtempSync(join(tmpdir(), 'pynq-llm-test-'));
const said: FromStage[] = [];
const events: GenerateEvent[] = [];
let onProgress: (done: number, total: number) => void = () => {};
let service: DeviceService;
beforeAll(() => {
  service = new DeviceService(
    openBoard('mock:'),
    {
      scratch: join(scratch, 'traces'),
      kv: {},
      clientWeights: new Map(),
      threads: 1,
      systemMemory: () => ({ available: 2 ** 30, source: 'the test', uploads: 0, isMock: true }),
    },
    {
      onEvent: (_, event) => events.push(event),
      onProgress: (_, done, total) => onProgress(done, total),
      onNote: () => {},
      onAnswer: () => {},
      onStage: (message) => said.push(message),
      programs: { start: () => {}, end: () => {} },
    },
  );
});
afterAll(() => {
  service.close();
  rmSync(scratch, { recursive: true, force: true });
});

function ask<M extends DeviceMethod>(method: M, params: DeviceParams<M>) {
  return service.answer({ kind: 'call', id: 1, session: 1, method, params });
}

const memories = RANGES.map((range) =>
  stageMemory(shape, range, openBoard('mock:').description, { coreTypes: 'exact' }, 0),
);
const kvPool = stagePool(
  RANGES.map((range, i) => ({ shape: kvShapeOfStage(shape, range), bytes: memories[i]!.kvBytes })),
  'f16',
);
const load = (index: 0 | 1, over?: SharedArrayBuffer) => {
  const { kvBytes, working } = memories[index]!;
  const stage = { ...RANGES[index], stages: 2, kvPool, kvBytes, working };
  return ask('models.load', { model: MODEL, path: PATH, coreTypes: 'exact', stage, over });
};
const used = () => service.dmaMemory.total - service.dmaMemory.free;

it('layers of a model take the DMA memory that was planned for them, to the byte, and give it back', () => {
  const before = used();
  for (const index of [0, 1] as const) {
    const result = load(index);
    expect(used()).toBe(memories[index]!.dma.need);
    expect(load(index)).toBe(result);
  }
  ask('models.unload', { model: MODEL, force: true });
  expect(used()).toBe(before);
});

it('layers that nobody wants any more are not loaded to their end, and give their memory back', () => {
  const before = used();
  const over = new Int32Array(new SharedArrayBuffer(4));
  const told: number[] = [];
  onProgress = (done, total) => {
    told.push(done / total);
    if (told.length === 3) over[0] = 1;
  };
  try {
    expect(() => load(0, over.buffer)).toThrow(/FLEET_STAGE_LOST/);
    expect(told).toHaveLength(3);
    expect(told.at(-1)).toBeLessThan(1);
    expect(used()).toBe(before);
    // What waited for its turn meanwhile is not begun, and what is loaded stays.
    const kept = load(1);
    expect(() => load(0, over.buffer)).toThrow(/FLEET_STAGE_LOST/);
    expect(load(1)).toBe(kept);
  } finally {
    onProgress = () => {};
  }
  ask('models.unload', { model: MODEL, force: true });
  expect(used()).toBe(before);
});

it('weights that were kept are those of the same layers, not of others that are as large', () => {
  const folder = join(scratch, 'packed');
  mkdirSync(folder);
  const one = (from: number) => {
    const range = { from, to: from + 1 };
    const { kvBytes, working } = memories[0]!;
    const stage = { ...range, stages: 3, kvPool, kvBytes, working };
    const packed = { folder, roomBytes: 2 ** 30 };
    const { weights } = ask('models.load', { model: MODEL, path: PATH, coreTypes: 'exact', stage, packed })!;
    ask('models.unload', { model: MODEL, force: true });
    return weights;
  };
  const first = one(0);
  expect(first).toMatchObject({ read: 0, found: 0 });
  expect(one(0)).toMatchObject({ packed: 0, read: first?.packed });
  expect(one(1)).toMatchObject({ packed: first?.packed, read: 0 });
});

it('a stage whose pages take more than it may is refused, and leaves the buffers that a whole model needs', () => {
  const before = used();
  const { working } = memories[0]!;
  const stage = { ...RANGES[0], stages: 2, kvPool, kvBytes: 1_024, working };
  const request = { model: MODEL, path: PATH, coreTypes: 'exact', stage } as const;
  expect(() => ask('models.load', request)).toThrow(/LLM_KV_MEMORY.*may take 1024/);
  expect(used()).toBe(before);
});

it('a board whose memory others hold when a stage goes loads models again once they give it back', () => {
  const before = used();
  load(0);
  const others: number[] = [];
  for (let session = 2; service.dmaMemory.free > 8_192; session++) {
    const params = { byteLength: Math.min(2 ** 25, service.dmaMemory.free - 4_096), align: 4_096 };
    service.answer({ kind: 'call', id: 1, session, method: 'buffers.allocate', params });
    others.push(session);
  }
  expect(() => ask('models.unload', { model: MODEL, force: true })).toThrow(/DMA/);
  for (const session of others) service.endSession(session);
  ask('models.load', { model: MODEL, path: PATH });
  ask('models.unload', { model: MODEL, force: true });
  expect(used()).toBe(before);
});

it('a board without the last ones generates nothing, and computes batches of its plan alone', () => {
  load(0);
  const start = {
    generation: 'b'.repeat(32),
    model: MODEL,
    prompt: { tokens: [1] },
    sampling: {},
    window: 1,
    client: [],
  };
  expect(() => ask('generate.start', start)).toThrow(/layers 0 to 1 alone/);
  expect(() => ask('models.tokenize', { model: MODEL, text: 'a', client: [] })).toThrow(/FLEET_STAGE_ONLY/);
  const batch = { number: 0, changes: [], columns: [], freeFrames: 0 };
  service.models.takeStage({ kind: 'stage-begin', model: MODEL, plan: 3 });
  service.models.takeStage({ kind: 'stage-run', model: MODEL, plan: 2, batch, hidden: undefined });
  expect(service.models.hasWork).toBe(true);
  service.models.step();
  expect(said.splice(0)).toMatchObject([
    { kind: 'stage-failed', plan: 2, error: { code: 'FLEET_STAGE_LOST' } },
  ]);
  expect(service.models.hasWork).toBe(false);
  ask('models.unload', { model: MODEL, force: true });
});

it('the last ones begin batches within a plan, as many as there are stages, and end all with it', () => {
  load(1);
  for (let i = 0; i < 3; i++) {
    ask('generate.start', {
      generation: String(i).repeat(32),
      model: MODEL,
      prompt: { tokens: [1, 2 + i] },
      sampling: { maxTokens: 4 },
      window: 4,
      client: [],
    });
    while (service.models.texts.isDue(false)) service.models.texts.slice();
    service.models.grant(String(i).repeat(32), 4);
  }
  service.models.takeStage({ kind: 'stage-begin', model: MODEL, plan: 5 });
  while (service.models.hasWork) service.models.step();
  expect(said.every((one) => one.kind === 'stage-batch' && one.plan === 5)).toBe(true);
  expect(said).toHaveLength(2);
  expect(events).toEqual([]);
  const error = { code: 'FLEET_STAGE_LOST', message: 'Gone.', context: {} };
  service.models.takeStage({ kind: 'stage-end', model: MODEL, plan: 4, error });
  expect(events).toEqual([]);
  service.models.takeStage({ kind: 'stage-end', model: MODEL, plan: 5, error });
  expect(events).toMatchObject(new Array(3).fill({ type: 'failed', error: { code: 'FLEET_STAGE_LOST' } }));
  // Who comes between two plans is not left waiting.
  ask('generate.start', {
    generation: 'f'.repeat(32),
    model: MODEL,
    prompt: { tokens: [1] },
    sampling: { maxTokens: 4 },
    window: 4,
    client: [],
  });
  while (service.models.texts.isDue(false)) service.models.texts.slice();
  while (service.models.hasWork) service.models.step();
  expect(events).toHaveLength(4);
});

it('a plan that begins though another one has not ended begins with batch 0, and with nothing of that one', () => {
  events.length = said.length = 0;
  const generation = '9'.repeat(32);
  const start = (plan: number, token: number, id: string) => {
    service.models.takeStage({ kind: 'stage-begin', model: MODEL, plan });
    ask('generate.start', {
      generation: id,
      model: MODEL,
      prompt: { tokens: [token] },
      sampling: { maxTokens: 4 },
      window: 4,
      client: [],
    });
    while (service.models.texts.isDue(false)) service.models.texts.slice();
    service.models.grant(id, 4);
    while (service.models.hasWork) service.models.step();
  };
  start(6, 1, generation);
  start(7, 2, '8'.repeat(32));
  expect(events).toMatchObject([{ type: 'failed', error: { code: 'FLEET_STAGE_LOST' } }]);
  expect(said).toMatchObject([
    { kind: 'stage-batch', plan: 6, batch: { number: 0 } },
    { kind: 'stage-batch', plan: 7, batch: { number: 0 } },
  ]);
});
