import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import { connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';

let agent: AgentHandle;
beforeAll(async () => {
  agent = await testAgent();
});
afterAll(() => agent.close());

describe('registers through the agent', () => {
  it('are read by name or place in one frame, with their fields', async () => {
    await using board = await connect(agent.url);
    const [byName, byPlace] = await board.registers.read(['dma0.MM2S_DMASR', { window: 'dma0', offset: 4 }]);
    expect(byPlace).toEqual(byName);
    expect(byName.address).toBe(0x4040_0004);
    expect(byName.fields.find(({ name }) => name === 'SG_INCLUDED')?.value).toBe(0);
    expect(byName.fields.length).toBeGreaterThan(5);
  });

  it('are all readable, many times, whatever the worker does meanwhile', async () => {
    await using board = await connect(agent.url);
    const model = await board.models.upload(TINY_MODEL);
    const names = (await board.registers.list()).map(({ name }) => name);
    const idle = await board.registers.read(names);
    expect(idle.map(({ name }) => name)).toEqual(names);
    const generation = model.generate('Once', { maxTokens: 40, ignoreEos: true }).text();
    for (let i = 0; i < 200; i++) expect(await board.registers.read(names.slice(0, 3))).toHaveLength(3);
    await Promise.all(Array.from({ length: 50 }, () => board.registers.read(['control.STATUS_SCHEDULER'])));
    expect((await generation).length).toBeGreaterThan(0);
  });

  it.each([
    ['an unknown name', 'control.NOTHING', 'DRIVER_UNKNOWN_REGISTER'],
    ['an unknown window', { window: 'uart', offset: 0 }, 'DRIVER_UNKNOWN_WINDOW'],
    ['an unaligned offset', { window: 'control', offset: 0x26 }, 'DRIVER_UNALIGNED_ADDRESS'],
    ['an offset beyond the window', { window: 'control', offset: 0x10_0000 }, 'DRIVER_ADDRESS_OUT_OF_RANGE'],
    ['an offset without a register', { window: 'control', offset: 0x1000 }, 'DRIVER_UNKNOWN_REGISTER'],
  ])('refuse %s', async (_, register, code) => {
    await using board = await connect(agent.url);
    await expect(board.registers.read(['control.DONE', register])).rejects.toMatchObject({ code });
  });

  it('refuse a write to a read-only register, and write nothing of its batch', async () => {
    await using board = await connect(agent.url);
    const [before] = await board.registers.read(['dma0.MM2S_SA']);
    const batch = [
      { register: 'dma0.MM2S_SA', value: (before.value ^ 0x100) >>> 0 },
      { register: 'control.DONE', value: 1 },
    ];
    await expect(board.registers.write(batch)).rejects.toMatchObject({ code: 'DRIVER_REGISTER_READ_ONLY' });
    expect(await board.registers.read(['dma0.MM2S_SA'])).toEqual([before]);
  });
});

describe('buffers through the agent', () => {
  it('belong to the session that allocated them and end with it', async () => {
    await using board = await connect(agent.url);
    const free = (await board.health()).dmaMemory?.free ?? 0;
    const other = await connect(agent.url);
    const theirs = await other.buffers.allocate(1 << 20);
    const mine = await board.buffers.allocate(1 << 20);
    expect(mine.physicalAddress).not.toBe(theirs.physicalAddress);
    await theirs.write(Uint8Array.of(1, 2, 3), 5);
    expect([...(await theirs.read(4, 5))]).toEqual([0, 1, 2, 3, 0]);
    await other.close();
    await mine.free();
    await expect.poll(async () => (await board.health()).dmaMemory?.free).toBe(free);
  });

  it('have a quota', async () => {
    await using board = await connect(agent.url);
    await expect(board.buffers.allocate(64 * 1024 * 1024)).rejects.toMatchObject({
      code: 'AGENT_BUFFER_QUOTA',
    });
  });
});

describe('golden vectors through the agent', () => {
  it('are checked though they fit no frame, and where one is damaged the others still are', async () => {
    using folder = temporaryDirectory();
    // 5632 x 2048 in Q6_K, the largest layer of a TinyLlama: all zeros, so that every result is 0.
    const [rows, kb] = [5632, 8];
    const [weightBytes, inputBytes] = [rows * kb * 210, kb * 292];
    const weights = 64;
    const results = weights + weightBytes + inputBytes;
    const header = [
      0x56544c53,
      1,
      6,
      rows,
      1,
      kb * 256,
      weightBytes,
      inputBytes,
      weights,
      weights + weightBytes,
    ];
    const file = Buffer.alloc(results + 2 * rows * 4);
    for (const [i, word] of [...header, results, results + rows * 4, 0, 128].entries())
      file.writeUInt32LE(word, 4 * i);
    writeFileSync(join(folder.path, 'right.bin'), file);
    file.writeUInt8(0x3f, results + 7);
    writeFileSync(join(folder.path, 'wrong.bin'), file);
    writeFileSync(join(folder.path, 'short.bin'), file.subarray(0, -1));
    const cases = ['wrong', 'missing', 'short', 'right'].map((name) => ({
      file: `${name}.bin`,
      v3: { cycles: 0 },
    }));
    writeFileSync(join(folder.path, 'index.json'), JSON.stringify({ cases }));
    // In the vectors' timing, so that cycles are compared.
    await using timed = await testAgent({ device: 'mock:?timing=systemc' });
    await using board = await connect(timed.url);
    const checks: { readonly bitMismatches: number; readonly error?: string | undefined }[] = [];
    const summary = await board.device.selfTest(folder.path, { onCheck: (check) => checks.push(check) });
    // Each is checked with staged and with resident weights; the cycles of the former are wrong on purpose.
    expect(summary).toMatchObject({ cases: 8, passed: 1, bitMismatches: 2, cycleMismatches: 2 });
    const twice = <T>(one: T) => [one, one];
    expect(
      checks.map(({ bitMismatches, error }) => [bitMismatches, error?.match(/(SDK|DRIVER)_\w+/)?.[0]]),
    ).toEqual([
      ...twice([1, undefined]),
      ...twice([0, 'SDK_VECTORS']),
      ...twice([0, 'DRIVER_BAD_VECTOR']),
      ...twice([0, undefined]),
    ]);
  });
});

describe('counters through the agent', () => {
  it('count what they are told to, and report each step', async () => {
    await using board = await connect(agent.url);
    const model = await board.models.upload(TINY_MODEL);
    await board.counters.setTargets({ compute: 'computing' });
    await board.counters.reset();
    const before = await board.counters.read();
    const stop = new AbortController();
    const steps: number[] = [];
    const watching = (async () => {
      for await (const step of board.counters.subscribe({ signal: stop.signal })) {
        steps.push(step.traffic.coreCycles);
        expect(step.durationMs).toBeGreaterThan(0);
        expect(step.dropped).toBe(0);
      }
    })();
    const done = model.generate('Once upon a time', { maxTokens: 10, ignoreEos: true });
    await done.text();
    const reading = await board.counters.read();
    await expect.poll(() => steps.length).toBeGreaterThanOrEqual(10);
    stop.abort();
    await watching;
    const compute = reading.counters.find(({ name }) => name === 'compute');
    expect(compute).toMatchObject({ targetName: 'computing' });
    expect(compute?.cycles).toBeGreaterThan(0);
    expect(steps.reduce((a, b) => a + b, 0)).toBe(reading.traffic.coreCycles - before.traffic.coreCycles);
  });

  it('refuse a unit or a state that the core does not have', async () => {
    await using board = await connect(agent.url);
    await expect(board.counters.setTargets({ gpu: 1 })).rejects.toMatchObject({
      code: 'DRIVER_UNKNOWN_COUNTER',
    });
    await expect(board.counters.setTargets({ compute: 'dreaming' })).rejects.toMatchObject({
      code: 'DRIVER_UNKNOWN_COUNTER',
    });
  });
});

describe('scores', () => {
  it('end with the session that asked for them, and leave the device to others', async () => {
    await using board = await connect(agent.url);
    const model = await board.models.upload(TINY_MODEL);
    const leaving = await connect(agent.url);
    const theirs = await leaving.models.upload(TINY_MODEL);
    const tokens = Array<number>(model.info.contextLength / 2).fill(80);
    let oneMs = 0;
    for (let i = 0; i < 3; i++) {
      const started = performance.now();
      await theirs.score(tokens);
      oneMs = Math.max(oneMs, performance.now() - started);
    }
    const scores = Array.from({ length: 30 }, () => theirs.score(tokens).catch((error: unknown) => error));
    // Answered after all of them were taken.
    await theirs.tokenize('Once');
    await expect(model.unload()).rejects.toMatchObject({ code: 'AGENT_MODEL_BUSY' });
    const left = performance.now();
    await leaving.close();
    await expect
      .poll(
        () =>
          model
            .unload()
            .then(() => 'unloaded')
            .catch(() => 'busy'),
        { timeout: 60_000 },
      )
      .toBe('unloaded');
    expect(performance.now() - left).toBeLessThan(15 * oneMs);
    expect(await Promise.all(scores)).toEqual(
      scores.map(() => expect.objectContaining({ code: 'SDK_CLOSED' })),
    );
  });
});

describe('traces through the agent', () => {
  it('are recorded and replayed without a difference', async () => {
    await using board = await connect(agent.url);
    for (const { digest, state } of await board.models.list())
      if (state === 'loaded') await board.models.unload(digest);
    await board.trace.start();
    const model = await board.models.upload(TINY_MODEL);
    await model.generate('Once', { maxTokens: 2, temperature: 0 }).text();
    expect((await model.stored()).state).toBe('loaded');
    const trace = await board.trace.stop();
    // The recording's end unloaded it, and the agent knows.
    expect((await model.stored()).state).toBe('stored');
    expect(trace.length).toBeGreaterThan(10_000);
    const replay = await board.trace.replay(trace);
    expect(replay.difference).toBeUndefined();
    expect(replay.events).toBe(new TextDecoder().decode(trace).trimEnd().split('\n').length - 1);
    expect(await model.generate('Once', { maxTokens: 2, temperature: 0 }).text()).not.toBe('');
  });

  it('need the device for themselves', async () => {
    await using board = await connect(agent.url);
    await board.models.upload(TINY_MODEL);
    await expect(board.trace.start()).rejects.toMatchObject({ code: 'AGENT_MODEL_BUSY' });
    await expect(board.trace.stop()).rejects.toMatchObject({ code: 'AGENT_TRACE_STATE' });
  });
});

describe('a fault of the device', () => {
  it.each([
    // Those of a tile's results and of lane A, and the first one of the second try.
    ['dma-never-completes:200:3', 'DRIVER_DMA_TIMEOUT'],
    ['core-stuck:200:2', 'DRIVER_CORE_STUCK'],
    ['dma-decode-error:200:3', 'DRIVER_DMA_DECODE_ERROR'],
  ])(
    '%s ends a generation with %s where it comes again at the second try, and the next one works',
    async (fault, code) => {
      await using agent = await testAgent({ device: `mock:?fault=${fault}` });
      await using board = await connect(agent.url);
      const model = await board.models.upload(TINY_MODEL);
      await expect(model.generate('Once upon a time', { maxTokens: 20 }).text()).rejects.toMatchObject({
        code,
      });
      using directory = temporaryDirectory();
      await using healthy = await connect('mock:', { storeDir: directory.path });
      const expected = await (await healthy.models.upload(TINY_MODEL))
        .generate('Once', { maxTokens: 9, seed: 3 })
        .text();
      expect(await model.generate('Once', { maxTokens: 9, seed: 3 }).text()).toBe(expected);
    },
  );
});

describe('a worker that hangs', () => {
  it('is ended with a clear error and started again', async () => {
    await using agent = await testAgent({ device: 'mock:?realtime=1', hangMs: 2_500 });
    await using board = await connect(agent.url);
    const header = {
      trace: 'pynq-llm',
      version: 1,
      board: board.info.description.name,
      revision: 'v3',
      lanes: 4,
      windows: Object.keys(board.info.description.windows),
    };
    // A wait of a minute in real time, during which the worker answers nothing.
    const trace = [header, { event: 'timeout', timeoutUs: 60_000_000 }]
      .map((line) => JSON.stringify(line))
      .join('\n');
    const replay = board.trace.replay(new TextEncoder().encode(trace)).catch((error: unknown) => error);
    await expect.poll(async () => (await board.health()).silentMs).toBeGreaterThan(500);
    expect(await replay).toMatchObject({ code: 'AGENT_WORKER_HUNG' });
    await expect.poll(async () => (await board.health()).state, { timeout: 10_000 }).toBe('ready');
    expect(await board.health()).toMatchObject({
      restarts: 1,
      lastError: expect.stringContaining('AGENT_WORKER_HUNG'),
    });
    expect((await board.registers.read(['control.DONE']))[0].value).toBe(0);
  });
});

describe('a worker that crashes', () => {
  /** The device workers that agents of this process start. */
  function watchWorkers(onWorker: (worker: Worker) => void = () => {}) {
    const workers: Worker[] = [];
    const watch = (worker: Worker) => {
      workers.push(worker);
      onWorker(worker);
    };
    process.on('worker', watch);
    return { workers, [Symbol.dispose]: () => process.off('worker', watch) };
  }

  it('fails what was under way; requests made at once wait for the next worker', async () => {
    using watched = watchWorkers();
    await using agent = await testAgent();
    await using board = await connect(agent.url);
    const model = await board.models.upload(TINY_MODEL);
    const expected = await model.generate('Once', { maxTokens: 5, seed: 3 }).text();
    const generation = model.generate('Once', { maxTokens: 400, ignoreEos: true });
    const reading = (async () => {
      for await (const token of generation) if (token.index === 2) await watched.workers.at(-1)?.terminate();
    })();
    await expect(reading).rejects.toMatchObject({ code: 'AGENT_WORKER_CRASHED' });
    const [registers, text] = await Promise.all([
      board.registers.read(['control.DONE']),
      model.generate('Once', { maxTokens: 5, seed: 3 }).text(),
    ]);
    expect(registers[0].value).toBe(0);
    expect(text).toBe(expected);
    expect((await board.health()).restarts).toBe(1);
  });

  it('is heard to the end, however late: a device that cannot be opened has a reason', async () => {
    using watched = watchWorkers((worker) => {
      // What the worker says and its end wait for this thread together.
      worker.once('online', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000));
    });
    await using agent = await testAgent({ device: 'mock:no-such-board' });
    await expect(connect(agent.url)).rejects.toMatchObject({
      code: 'AGENT_DEVICE_FAILED',
      message: expect.stringContaining('no-such-board'),
    });
    expect(watched.workers.length).toBeGreaterThan(0);
  });

  it('again and again at its start refuses requests at once', async () => {
    let isBroken = false;
    using watched = watchWorkers((worker) => {
      if (isBroken) void worker.terminate();
    });
    await using agent = await testAgent();
    await using board = await connect(agent.url);
    isBroken = true;
    await watched.workers.at(-1)?.terminate();
    const crashed = { code: 'AGENT_WORKER_CRASHED' };
    await expect(board.registers.read(['control.DONE'])).rejects.toMatchObject(crashed);
    // Refused before another worker was started; they are started less and less often.
    await expect
      .poll(
        async () => {
          const { length } = watched.workers;
          await expect(board.registers.read(['control.DONE'])).rejects.toMatchObject(crashed);
          return watched.workers.length - length;
        },
        { timeout: 20_000 },
      )
      .toBe(0);
    isBroken = false;
    await expect.poll(async () => (await board.health()).state, { timeout: 10_000 }).toBe('ready');
    expect((await board.registers.read(['control.DONE']))[0].value).toBe(0);
  });
});
