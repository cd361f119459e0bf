import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { KvCache } from '../../../../llm/kv/cache.js';
import { KV_TYPES, type KvType } from '../../../../llm/kv/layout.js';
import { KvPool } from '../../../../llm/kv/pool.js';
import { CONTROL, MOST_THREADS, type ThreadSetup } from '../../../../llm/threads/control.js';
import { ThreadPool } from '../../../../llm/threads/thread-pool.js';
import { Random } from '../../../../maths/index.js';
import { oddHalves } from '../../../system/support/odd-floats.js';

const SHAPE = { layers: 2, heads: 12, kvHeads: 4, headDim: 40 };
const WIDTH = SHAPE.kvHeads * SHAPE.headDim;
const QUERY_WIDTH = SHAPE.heads * SHAPE.headDim;

const TOKENS = 90;

/** A cache with all tokens in it. */
function filled(
  type: KvType,
  keys: Float32Array,
  values: Float32Array,
  options: { maxColumns?: number; threads?: ThreadPool },
): KvCache {
  const cache = new KvCache(
    new KvPool(SHAPE, { type, bytes: 1 << 22, contextLength: TOKENS, ...options }),
    TOKENS,
  );
  for (let token = 0; token < TOKENS; token++) {
    cache.extendTo(token, token);
    for (let layer = 0; layer < SHAPE.layers; layer++) cache.store(layer, token, keys, values, token * WIDTH);
  }
  return cache;
}

const open: { close(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

function poolOf(...args: ConstructorParameters<typeof ThreadPool>): ThreadPool {
  const pool = new ThreadPool(...args);
  open.push(pool);
  return pool;
}

/** Waits until every thread of the pool has taken part: a start takes a while. */
function waitForThreads(control: Int32Array, size: number, run: () => void): void {
  const end = Date.now() + 20_000;
  for (let number = 1; number < size; number++) {
    while (Atomics.load(control, CONTROL.seen + number) === 0) {
      if (Date.now() > end) throw new Error(`thread ${number} did not start`);
      run();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

function startReal(setup: ThreadSetup): void {
  const url = new URL('../../../../llm/threads/thread-worker.js', import.meta.url);
  const thread = new Worker(url, { workerData: setup, transferList: [setup.port], execArgv: [] });
  open.push({ close: () => void thread.terminate() });
}

describe.each(KV_TYPES)('attention over %s', (type: KvType) => {
  it.each([1, 2, 3, 4])('has the same bits with %i threads as column by column on one', (size) => {
    let control = new Int32Array(new SharedArrayBuffer(0));
    const threads = poolOf(size, {
      start: (setup) => {
        control = new Int32Array(setup.control);
        startReal(setup);
      },
    });
    const random = new Random(size);
    const [keys, values] = [0, 1].map(() => oddHalves(random, TOKENS * WIDTH, 8, 17));
    const [alone, shared] = [{}, { maxColumns: 7, threads }].map((options) =>
      filled(type, keys, values, options),
    );
    const attendTogether = (layer: number, positions: readonly number[], queries: Float32Array) => {
      for (const [i, position] of positions.entries())
        shared.queue(layer, i, position, queries, i * QUERY_WIDTH);
      const out = new Float32Array(positions.length * QUERY_WIDTH);
      shared.attend(layer, positions.length, out);
      return out;
    };
    waitForThreads(control, size, () =>
      attendTogether(0, [3, 9], oddHalves(random, 2 * QUERY_WIDTH, 12, 16)),
    );
    for (let round = 0; round < 60; round++) {
      const n = 1 + Math.floor(random.nextDouble() * 7);
      const layer = round % SHAPE.layers;
      const positions = Array.from({ length: n }, () => Math.floor(random.nextDouble() * TOKENS));
      const queries = oddHalves(random, n * QUERY_WIDTH, 8, 16);
      const expected = new Float32Array(n * QUERY_WIDTH);
      for (const [i, position] of positions.entries()) {
        const out = new Float32Array(QUERY_WIDTH);
        alone.queue(layer, 0, position, queries, i * QUERY_WIDTH);
        alone.attend(layer, 1, out);
        expected.set(out, i * QUERY_WIDTH);
      }
      expect(attendTogether(layer, positions, queries)).toEqual(expected);
    }
  });
});

describe('a pool of threads', () => {
  const BODIES = {
    'claims a unit and dies': 'Atomics.add(control, TICKET, 1); process.exit(0);',
    'dies before it works': 'process.exit(0);',
    'says that it failed':
      'Atomics.add(control, TICKET, 1); Atomics.store(control, FAILED, 1); Atomics.notify(control, DONE);',
  };

  /** A thread that waits for the first job and does something else. */
  function startOdd(body: string) {
    return (setup: ThreadSetup): void => {
      const { control, number } = setup;
      const words = `const [JOB, TICKET, FAILED, DONE] = [${[CONTROL.job, CONTROL.ticket, CONTROL.failed, CONTROL.done]}];`;
      const wait = 'const control = new Int32Array(require("node:worker_threads").workerData.control);';
      const thread = new Worker(`${words}${wait}Atomics.wait(control, JOB, 0, 10000);${body}`, {
        eval: true,
        workerData: { control, number },
      });
      open.push({ close: () => void thread.terminate() });
    };
  }

  it.each(Object.entries(BODIES))('whose thread %s says so, every time, and does not hang', (_, body) => {
    const pool = poolOf(2, { unitMs: 300, lookMs: 300, start: startOdd(body) });
    const rows = new Float32Array(TOKENS * WIDTH).fill(0.5);
    const cache = filled('f16', rows, rows, { threads: pool });
    const out = new Float32Array(QUERY_WIDTH);
    cache.queue(0, 0, TOKENS - 1, new Float32Array(QUERY_WIDTH), 0);
    const end = Date.now() + 20_000;
    const failing = (): unknown => {
      try {
        while (Date.now() < end) cache.attend(0, 1, out);
      } catch (error) {
        return error;
      }
      return 'no error in 20 s';
    };
    expect(failing()).toMatchObject({ code: 'LLM_THREAD_LOST' });
    const again = Date.now();
    expect(failing()).toMatchObject({ code: 'LLM_THREAD_LOST' });
    expect(Date.now() - again).toBeLessThan(1000);
  });

  it.each([0, 1.5, MOST_THREADS + 1, Number.NaN])('of %s threads is refused', (size) => {
    expect(() => new ThreadPool(size)).toThrow(/LLM_THREADS/);
  });
});
