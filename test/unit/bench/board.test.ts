import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { CORTEX_A9, CORTEX_A53 } from '../../../bench/board/assumptions.js';
import { coreWork } from '../../../bench/board/core-work.js';
import { openEmulator } from '../../../bench/board/emulator.js';
import { MARKED_CALLS } from '../../../bench/board/parts.js';
import { type ProjectionInput, project, total } from '../../../bench/board/projection.js';
import { MOBILE_LLM_125M, SMALL, syntheticModel, TINY_LLAMA_Q3_K_S } from '../../../bench/synthetic-model.js';
import { loadBoardDescription } from '../../../board/index.js';
import { Accelerator } from '../../../driver/index.js';
import { fileSource, openGguf } from '../../../gguf/index.js';
import { loadModel } from '../../../llm/index.js';
import { openMockBoard } from '../../../mock-device/index.js';

const Z1 = loadBoardDescription('pynq-z1');
const KV260 = loadBoardDescription('kv260-2026-v3');

describe('the work of the core that a projection counts on', () => {
  it('is what the driver counts for a token', () => {
    const accelerator = new Accelerator(openMockBoard(Z1));
    const file = openGguf(fileSource(syntheticModel(SMALL)));
    const model = loadModel(file, { accelerator, contextLength: 8, maxColumns: 1 });
    const logits = new Float32Array(model.config.vocabSize);
    const before = { ...accelerator.traffic };
    model.forward([{ cache: model.newCache(), token: 1, position: 0, logits }]);
    const { cycles, tiles, onCore, matrices } = coreWork(Z1, SMALL);
    expect(cycles).toBe(accelerator.traffic.coreCycles - before.coreCycles);
    expect(tiles).toBe(accelerator.traffic.tiles - before.tiles);
    expect(onCore).toBe(accelerator.traffic.matMuls - before.matMuls);
    expect(onCore).toBe(matrices);
  });

  it('has of TinyLlama-1.1B Q3_K_S the published shape', () => {
    const words = coreWork(Z1, TINY_LLAMA_Q3_K_S);
    expect(words.tiles).toBe(3968);
    expect(words.matrices).toBe(155);
    expect(words.cycles / 1e6).toBeCloseTo(107.6, 0);
    expect(coreWork({ ...Z1, unpack: 'hls' }, TINY_LLAMA_Q3_K_S).cycles / 1e6).toBeCloseTo(127.6, 0);
    expect(words.weightBytes / 16).toBe(29_884_928);
  });

  it('has of MobileLLM-125M ffn_down alone', () => {
    expect(coreWork(KV260, MOBILE_LLM_125M)).toMatchObject({ onCore: 30, matrices: 211, tiles: 120 });
  });
});

describe('a projected token', () => {
  const traffic = {
    registerReads: 4000,
    registerWrites: 6000,
    dmaTransfers: 0,
    dmaBytes: 0,
    tiles: 1,
    coreCycles: 0,
    cpuBytesWritten: 40_000,
    cpuBytesRead: 400_000,
    bytesHandedOver: 448_000,
    cacheCommands: 100,
  };
  const input: ProjectionInput = {
    board: Z1,
    processor: CORTEX_A9,
    model: TINY_LLAMA_Q3_K_S,
    instructions: 650e6,
    traffic,
    memory: 'reserved',
    stagedBytes: 0,
  };
  const secondsOf = (lines: ReturnType<typeof project>, name: string) =>
    lines.find(({ what }) => what === name)?.seconds;

  it('is the sum of what core, processor, registers and memory take', () => {
    const lines = project(input);
    expect(secondsOf(lines, 'core')![0]).toBeCloseTo(1.076, 2);
    expect(secondsOf(lines, 'core')![1]).toBeCloseTo(1.276, 2);
    expect(secondsOf(lines, 'processor')![0]).toBeCloseTo(1, 9);
    expect(secondsOf(lines, 'processor')![1]).toBeCloseTo(650 / 390, 9);
    expect(secondsOf(lines, 'registers')![0]).toBeCloseTo(0.001, 9);
    expect(secondsOf(lines, 'uncached words')![1]).toBeCloseTo(100_000 * 170e-9 + 10_000 * 40e-9, 9);
    expect(secondsOf(lines, 'memory that others want')![0]).toBeGreaterThan(0);
    const sums = [0, 1].map((end) => lines.reduce((sum, { seconds }) => sum + seconds[end], 0));
    expect(total(lines)).toEqual(sums);
    expect(lines.every(({ seconds: [low, high] }) => low <= high)).toBe(true);
  });

  it('has the cache in the place of uncached words, and waits for no memory that is fast enough', () => {
    const lines = project({ ...input, board: KV260, processor: CORTEX_A53, memory: 'u-dma-buf' });
    expect(secondsOf(lines, 'uncached words')).toBeUndefined();
    expect(secondsOf(lines, 'caches')![0]).toBeCloseTo(100e-6 + (448_000 / 64) * 4e-9, 9);
    expect(secondsOf(lines, 'memory that others want')).toEqual([0, 0]);
  });

  it('reads staged weights from the card', () => {
    expect(secondsOf(project({ ...input, stagedBytes: 240e6 }), 'card')).toEqual([12, 20]);
  });
});

describe('the counter of instructions', () => {
  it.each(MARKED_CALLS)('finds $export $method $kernel of $module to mark', async (call) => {
    const module = await import(pathToFileURL(`dist/${call.module}`).href);
    const exported = module[call.export];
    expect(typeof exported).toBe('function');
    if (call.method !== undefined) expect(typeof exported.prototype[call.method]).toBe('function');
    if (call.kernel !== undefined) expect(typeof new exported(64).kernels[call.kernel]).toBe('function');
  });

  describe('where nothing is installed', () => {
    const { PATH } = process.env;
    afterEach(() => {
      process.env.PATH = PATH;
    });

    it('says what is missing', async () => {
      process.env.PATH = '';
      expect(await openEmulator()).toEqual({ missing: expect.stringContaining('qemu-user') });
    });
  });
});
