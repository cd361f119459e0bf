import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { shapeOf } from '../../../../agent/worker/plan-model.js';
import { type BoardDescription, loadBoardDescription } from '../../../../board/index.js';
import { emptyMemory } from '../../../../driver/index.js';
import { BLOCK_FORMATS, fileSource, GgmlType, openGguf } from '../../../../gguf/index.js';
import { defaultKvBytes } from '../../../../llm/kv/default-memory.js';
import { KvLayout } from '../../../../llm/kv/layout.js';
import type { BudgetInput, MemoryRequest } from '../../../../llm/memory/budget.js';
import { modelShape } from '../../../../llm/memory/model-shape.js';
import { budgetMemory, requireMemory } from '../../../../llm/memory/refusal.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import type { Model } from '../../../../llm/model/model.js';
import { modelDimensions } from '../../../../protocol/schemas/memory.js';
import { convolvingGguf } from '../convolving.js';
import { syntheticGguf } from '../models.js';
import { SMALLEST, tinyLlama } from './sparse-model.js';

const MEBI = 2 ** 20;
const LARGE = modelShape(openGguf(tinyLlama()));
const SMALL = modelShape(openGguf(tinyLlama(SMALLEST)));
const F16 = modelShape(openGguf(tinyLlama(() => GgmlType.F16)));

function input(
  model: BudgetInput['model'],
  board: string | BoardDescription,
  available: number,
  request: MemoryRequest = {},
): BudgetInput {
  const description = typeof board === 'string' ? loadBoardDescription(board) : board;
  const system = { available, source: 'the test', uploads: 8 * MEBI, isMock: false };
  return { model, board: { description, dma: emptyMemory(description) }, system, request };
}

const budget = (...args: Parameters<typeof input>) => budgetMemory(input(...args));

function refused(...args: Parameters<typeof input>): Error & { code: string; context: object } {
  try {
    requireMemory(budget(...args));
  } catch (error) {
    return error as Error & { code: string; context: object };
  }
  throw new Error('it was not refused');
}

const FAMILIES = join('test', 'fixtures', 'families');

/** What is allocated by WebAssembly memories, in pages of 64 KiB; each begins with 4 KiB of the kernels' own. */
function allocatedBy(run: () => unknown): number {
  const wasm = Reflect.get(globalThis, 'WebAssembly') as {
    Memory: new (size: { initial: number }) => object;
  };
  const { Memory } = wasm;
  let pages = 0;
  wasm.Memory = class extends Memory {
    constructor(size: { initial: number }) {
      super(size);
      pages += size.initial;
    }
  };
  try {
    run();
  } finally {
    wasm.Memory = Memory;
  }
  return pages;
}

const pagesOf = (bytes: number) => Math.ceil((bytes + 4096) / 65_536);

describe('the sum of a model', () => {
  it('TinyLlama in Q2_K with a Q4_K output matrix fits 360 MiB at a context of 128', () => {
    expect(tinyLlama(SMALLEST).size / MEBI).toBeCloseTo(359.8, 1);
    const sum = budget(SMALL, 'pynq-z1-360', 56 * MEBI, { contextLength: 128 });
    expect(sum.refusal).toBeUndefined();
    const weights = sum.lines.find(({ what }) => what === "this model's weights")!;
    expect(weights.bytes / MEBI).toBeCloseTo(338.6, 1);
    expect(sum.dma.available).toBe(360 * MEBI);
    expect(sum.kvTokens).toBe(128);
  });

  it.each(['dma', 'system'] as const)('is that of its lines: %s', (of) => {
    const sum = budget(LARGE, 'pynq-z1-360', 400 * MEBI);
    const lines = sum.lines.filter((line) => line.of === of);
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.reduce((total, { bytes }) => total + bytes, 0)).toBe(sum[of].need);
    for (const { what, bytes } of lines)
      expect(sum.table).toMatch(new RegExp(`^ {2}${what} +${(bytes / MEBI).toFixed(1)}$`, 'm'));
  });

  it.each(readdirSync(FAMILIES).filter((file) => file.endsWith('.gguf')))(
    'has the memory that is allocated for activations, and for keys and values: %s',
    (file) => {
      const gguf = openGguf(fileSource(join(FAMILIES, file)));
      const request = { maxColumns: 1000, contextLength: 90, kvBytes: 4_000_001 } as const;
      for (const kvType of ['f16', 'int8'] as const) {
        const { lines } = budget(modelShape(gguf), 'pynq-z1', 400 * MEBI, { ...request, kvType });
        const model = { made: undefined as Model | undefined };
        const activations = allocatedBy(() => {
          model.made = loadModel(gguf, { ...request, kvType });
        });
        const keysAndValues = allocatedBy(() => model.made?.kvPool);
        for (const [what, allocated] of [
          ['activations', activations],
          ['keys and values', keysAndValues],
        ] as const)
          expect(pagesOf(lines.find((line) => line.what.startsWith(what))!.bytes)).toBe(allocated);
        model.made?.close();
      }
    },
  );

  it('of a model that convolves has the weights of convolutions among the norms', () => {
    const gguf = convolvingGguf();
    const taps = 2 * 3 * 32;
    expect(modelShape(gguf).vectorValues).toBe(7 * 32 + 2 * 8 + taps);
    expect(modelShape(gguf).matrices.map(({ name }) => name)).not.toContain('blk.0.shortconv.conv.weight');
  });

  it('is the same where a client says what its file has', () => {
    for (const gguf of [convolvingGguf(), syntheticOf(GgmlType.Q3_K)]) {
      const { vectorValues, matrices, ...dimensions } = modelShape(gguf);
      const tensors = [...gguf.tensors.values()].map(({ name, type, rows, columns }) => ({
        name,
        type: BLOCK_FORMATS[type].name,
        rows,
        columns,
      }));
      const said = modelDimensions.parse(JSON.parse(JSON.stringify(dimensions)));
      const { matrices: planned, ...shape } = shapeOf(said, tensors);
      expect(shape).toEqual({ ...dimensions, vectorValues });
      expect(planned).toHaveLength(matrices.length);
      expect(planned).toEqual(expect.arrayContaining([...matrices]));
    }
  });

  it('has weights that the core does not take in Linux’s memory, and none of the embedding', () => {
    const f16 = modelShape(syntheticOf(GgmlType.F16));
    const { lines } = budget(f16, 'pynq-z1', 400 * MEBI);
    const matrices = f16.matrices.reduce((sum, { rows, columns }) => sum + rows * columns * 2, 0);
    expect(lines.find(({ what }) => what.startsWith('weights that the core'))?.bytes).toBe(matrices);
    expect(f16.matrices.map(({ name }) => name)).not.toContain('token_embd.weight');
  });

  it('has rows of the CPU’s threads as a line', () => {
    const work = { widest: 2048, mostRows: 500, coreRows: 3000 };
    const linesOf = (maxColumns: number) => {
      const request = { threads: 2, maxColumns, threadRows: { bytes: MEBI, work } };
      return budget(SMALL, 'pynq-z1-360', 400 * MEBI, request).lines;
    };
    expect(linesOf(1)).toContainEqual({
      of: 'system',
      what: "rows that the CPU's threads compute",
      bytes: MEBI,
    });
    const workOf = (maxColumns: number) =>
      linesOf(maxColumns).find(({ what }) => what === "inputs and results of the CPU's rows")!.bytes;
    expect(workOf(1)).toBeGreaterThanOrEqual(8 * 292 + 4 * 500);
    expect(workOf(1)).toBeLessThan(8 * 292 + 4 * 500 + 2048);
    // Of more columns than one the core's results come between.
    expect(workOf(16)).toBeGreaterThanOrEqual(16 * (8 * 292 + 4 * 500 + 4 * 3000));
  });

  it('of a mock may stage without being asked, and has its DMA memory in this machine’s', () => {
    const mock = input(LARGE, 'pynq-z1', 2000 * MEBI);
    const sum = budgetMemory({ ...mock, system: { ...mock.system, isMock: true } });
    expect(sum.refusal).toBeUndefined();
    expect(sum.stagedBytes).toBeGreaterThan(300 * MEBI);
    expect(sum.stagedSeconds).toBe(0);
    const bytes = (what: string) => sum.lines.find((line) => line.what === what)!.bytes;
    expect(bytes("the mock's DMA memory, in this process")).toBe(bytes("this model's weights"));
    const strict = budgetMemory({
      ...mock,
      system: { ...mock.system, isMock: true },
      request: { staged: false },
    });
    expect(strict.refusal).toBe('LLM_MEMORY_DMA');
  });
});

describe('keys and values', () => {
  it('count what convolutions need of each page', () => {
    // LFM2-350M.
    const attending = { layers: 6, heads: 16, kvHeads: 8, headDim: 64 };
    const convolving = { ...attending, convolution: { layers: 10, taps: 3, width: 1024 } };
    for (const type of ['f16', 'int8'] as const) {
      const [plain, layout] = [attending, convolving].map((shape) => new KvLayout(shape, type));
      const { frameBytes, pageFrames, openFrames } = layout!;
      // The last two of its tokens' rows stay.
      const kept = (pageFrames - plain!.pageFrames) * frameBytes;
      expect(kept).toBeGreaterThanOrEqual(10 * 2 * 4 * 1024);
      expect(kept).toBeLessThan(10 * 2 * 4 * 1024 + frameBytes);
      const others = (openFrames - plain!.openFrames) * frameBytes - kept;
      expect(others).toBeGreaterThanOrEqual(10 * 14 * 4 * 1024);
      expect(others).toBeLessThan(10 * 14 * 4 * 1024 + frameBytes);
    }
    const shape = { ...SMALL, ...attending };
    const tokens = [shape, { ...shape, ...convolving }].map(
      (one) => budget(one, 'pynq-z1-360', 2000 * MEBI, { kvBytes: 8 * MEBI }).kvTokens,
    );
    // 12 and 18 KiB a token, and 576 of the open page.
    expect(tokens).toEqual([672, 416]);
  });

  it('have the default where there is plenty', () => {
    const { kvBytes } = budget(SMALL, 'pynq-z1', 2000 * MEBI, { contextLength: 128 });
    expect(kvBytes).toBe(defaultKvBytes(SMALL, 'f16', 128, loadBoardDescription('pynq-z1')));
  });

  it('have what is left where that is less, and the sum is what there is, up to a frame', () => {
    const sum = budget(SMALL, 'pynq-z1-360', 56 * MEBI, { contextLength: 128 });
    expect(sum.kvBytes).toBeLessThan(defaultKvBytes(SMALL, 'f16', 128, loadBoardDescription('pynq-z1-360')));
    expect(sum.system.need).toBeLessThanOrEqual(sum.system.available);
    expect(sum.system.need).toBeGreaterThan(sum.system.available - new KvLayout(SMALL, 'f16').frameBytes);
  });

  it('are one sequence of the context that was asked for at least', () => {
    const layout = new KvLayout(SMALL, 'f16');
    const least = layout.framesOf(2048) * layout.frameBytes;
    expect(budget(SMALL, 'pynq-z1-360', 2000 * MEBI, { contextLength: 2048 }).kvBytes).toBe(least);
    expect(refused(SMALL, 'pynq-z1-360', 56 * MEBI, { contextLength: 2048 }).code).toBe('LLM_MEMORY_SYSTEM');
  });

  it('hold less than the context where nobody asked for one', () => {
    const sum = budget(SMALL, 'pynq-z1-360', 56 * MEBI);
    expect(sum.refusal).toBeUndefined();
    expect(sum.contextLength).toBe(2048);
    expect(sum.kvTokens).toBe(464);
  });
});

describe('what does not fit', () => {
  it('in DMA memory is refused with the table, and with the quantisation that does', () => {
    const error = refused(LARGE, 'pynq-z1-360', 56 * MEBI, { contextLength: 128 });
    expect(error.code).toBe('LLM_MEMORY_DMA');
    expect(error.message).toMatch(
      /needs 459\.0 MiB of DMA memory on pynq-z1-360, 99\.0 MiB more than there are/,
    );
    expect(error.message).toMatch(/^ {2}this model's weights +456\.3$/m);
    expect(error.message).toContain(
      'quantised as Q2_K throughout with a Q4_K output matrix, which takes 341 MiB of DMA memory (llama-quantize --pure --output-tensor-type q4_k --token-embedding-type q2_k MODEL-F16.gguf SMALLER.gguf q2_k)',
    );
    expect(error.context).toMatchObject({ board: 'pynq-z1-360', available: 360 * MEBI });
    const { parts, bytes } = error.context as { parts: string[]; bytes: number[] };
    expect(parts).toHaveLength(bytes.length);
    expect(parts).toContain("dma: this model's weights");
  });

  it('names the board description and its boot argument where another reservation is enough', () => {
    const { fits } = budget(SMALL, 'pynq-z1', 300 * MEBI, { contextLength: 128 });
    expect(fits[0]).toBe('360 MiB for DMA: boot with mem=152M and use the board pynq-z1-360');
    expect(budget(SMALL, 'pynq-z1-360', 300 * MEBI - 232 * MEBI).refusal).toBeUndefined();
  });

  it('names the exact value where no shipped description has it', () => {
    const { fits } = budget(LARGE, 'kv260-2026-v3', 3000 * MEBI);
    const kv260 = loadBoardDescription('kv260-2026-v3');
    expect(fits[0]).toMatch(
      /^512 MiB for DMA: boot with cma=544M and use \[dma_memory\] in_bytes = 0x7000000/,
    );
    const larger = kv260.dmaMemory.map((region, i) =>
      i % 2 === 0 ? { ...region, size: 0x700_0000 } : region,
    );
    expect(budget(LARGE, { ...kv260, dmaMemory: larger }, 3000 * MEBI).refusal).toBeUndefined();
  });

  it('names a quantisation and a reservation together where neither is enough', () => {
    const { fits } = budget(LARGE, 'pynq-z1', 300 * MEBI);
    expect(fits[0]).toMatch(
      /^quantised as Q2_K throughout with a Q4_K .* with 360 MiB for DMA: boot with mem=152M/,
    );
  });

  it('may be staged where that is asked for, and says how long it takes', () => {
    const refusal = budget(LARGE, 'pynq-z1', 300 * MEBI);
    expect(refusal.fits.at(-1)).toMatch(
      /^slowly, with --staged: 331 MiB are read for each token, 17 s at 20 MB/,
    );
    const staged = budget(LARGE, 'pynq-z1', 300 * MEBI, { staged: true });
    expect(staged.refusal).toBeUndefined();
    expect(staged.dma.need).toBeLessThanOrEqual(128 * MEBI);
    expect(staged.stagedSeconds).toBeCloseTo(staged.stagedBytes / 20e6, 6);
    expect(staged.table).toContain('Staged: read for each step');
  });

  it.each([
    [
      'fewer columns',
      { contextLength: 128 },
      45,
      /^(\d+) columns at a time \(--max-columns \1\)$/,
      'maxColumns',
    ],
    ['INT8', { contextLength: 1024 }, 65, /^INT8 keys and values \(--kv-type int8\)$/, 'kvType'],
    [
      'a context',
      { contextLength: 1024 },
      65,
      /^a context of (\d+) tokens \(--ctx-size \1\)$/,
      'contextLength',
    ],
    [
      'keys and values',
      { kvBytes: 40 * MEBI },
      65,
      /^(\d+) MiB for keys and values \(--kv-memory \1\)$/,
      'kvBytes',
    ],
  ] as const)('in Linux’s memory fits with %s, with exactly that', (_, request, mebi, expected, key) => {
    const { refusal, fits } = budget(SMALL, 'pynq-z1-360', mebi * MEBI, request);
    expect(refusal).toBe('LLM_MEMORY_SYSTEM');
    const found = fits.find((one) => expected.test(one))!;
    const figure = expected.exec(found)![1];
    const value = {
      maxColumns: Number(figure),
      kvType: 'int8',
      contextLength: Number(figure),
      kvBytes: Number(figure) * MEBI,
    };
    const changed = { ...request, [key]: value[key] };
    expect(budget(SMALL, 'pynq-z1-360', mebi * MEBI, changed).refusal).toBeUndefined();
  });

  it('gives Linux more where DMA memory is more than the model needs', () => {
    const small = modelShape(syntheticOf(GgmlType.Q3_K));
    const { refusal, fits } = budget(small, 'pynq-z1-360', 20 * MEBI);
    expect(refusal).toBe('LLM_MEMORY_SYSTEM');
    expect(fits).toContainEqual('128 MiB for DMA: boot with mem=384M and use the board pynq-z1');
  });

  it('is quantised so that the core takes it where it is not', () => {
    const { refusal, fits } = budget(F16, 'kv260', 1000 * MEBI);
    expect(refusal).toBe('LLM_MEMORY_SYSTEM');
    expect(fits.join()).toMatch(/quantised as /);
  });

  it('beside another model fits when that one is unloaded', () => {
    const full = input(SMALL, 'pynq-z1-360', 300 * MEBI);
    const dma = { ...full.board.dma, free: 10 * MEBI, largestFree: 10 * MEBI };
    const { refusal, fits, lines } = budgetMemory({ ...full, board: { ...full.board, dma } });
    expect(refusal).toBe('LLM_MEMORY_DMA');
    expect(fits[0]).toMatch(/^unload the other models/);
    expect(lines.find(({ what }) => what === 'other models and buffers')?.bytes).toBeGreaterThan(340 * MEBI);
  });

  it('takes all changes together where none is enough, and says so where none of them is', () => {
    const { fits } = budget(SMALL, 'pynq-z1-360', 38 * MEBI, { contextLength: 2048 });
    expect(fits).toEqual([expect.stringMatching(/^all of --ctx-size \d+ --kv-type int8 --max-columns \d+$/)]);
    const error = refused(SMALL, 'pynq-z1-360', 5 * MEBI);
    expect(error.message).toMatch(/No smaller form of this model fits this board either/);
  });
});

const MODELS = join('..', 'shared', 'models');
describe.skipIf(!existsSync(MODELS))('models of the reference folder (needs ../shared/models)', () => {
  it.each(['Q2_K', 'Q3_K_M', 'Q3_K_S', 'Q4_K_M', 'Q6_K', 'f16'])(
    'tiny-stories-%s fits every PYNQ-Z1',
    (type) => {
      const source = fileSource(join(MODELS, `tiny-stories-${type}.gguf`));
      const shape = modelShape(openGguf(source));
      source.close();
      for (const board of ['pynq-z1', 'pynq-z1-128', 'pynq-z1-256', 'pynq-z1-360'])
        expect(budget(shape, board, 50 * MEBI).refusal).toBeUndefined();
    },
  );
});

function syntheticOf(type: GgmlType) {
  return syntheticGguf(() => type);
}
